"""What must not be written down: values whose name says that they are secret."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

NAMES = (
    "authorization",
    "cookie",
    "passwd",
    "password",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "credential",
    "session",
)
"""Parts of names, case and `-` or `_` aside: `X-Api-Key`, `set-cookie` and `refresh_token` are
among them (Sentry's and Rails' lists are matched by part as well)."""

HIDDEN = "[redacted]"

DEPTH = 6
"""Levels of lists and mappings that are looked into; what lies deeper is hidden whole."""


class Secrets:
    """Hides values by the names that they go under.

    Args:
        names: added to `NAMES`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        parts = [name.lower().replace("-", "_") for name in (*NAMES, *names)]
        self._part = re.compile("|".join(re.escape(part) for part in parts))
        self._known: dict[str, bool] = {}

    def is_secret(self, name: str) -> bool:
        """Whether the value of that name is hidden."""
        known = self._known.get(name)
        if known is None:
            known = self._part.search(name.lower().replace("-", "_")) is not None
            if len(self._known) < 4096:  # names come from code, but some are made from data
                self._known[name] = known
        return known

    def hide(self, fields: Mapping[str, Any], depth: int = DEPTH) -> dict[str, Any]:
        """The same fields, those that are secret hidden, at every level."""
        return {
            str(name): HIDDEN if self.is_secret(str(name)) else self._within(value, depth)
            for name, value in fields.items()
        }

    def _within(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self.hide(value, depth - 1) if depth else HIDDEN
        if isinstance(value, list | tuple):
            return [self._within(item, depth - 1) for item in value] if depth else HIDDEN
        return value

    def query(self, query: str) -> str:
        """A query string with the values of secret names hidden."""
        if "=" not in query:
            return query
        pairs = [pair.partition("=") for pair in query.split("&")]
        return "&".join(
            name + sign + (HIDDEN if sign and self.is_secret(name) else value)
            for name, sign, value in pairs
        )


SECRETS = Secrets()
"""Of who asks for no others."""
