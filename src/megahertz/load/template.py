"""What is sent: kinds of requests, and the statuses that they may be answered with."""

import re
from dataclasses import dataclass, field

from megahertz.errors import BadSettings

_RANGE = re.compile(r"([1-5])xx|([1-5]\d\d)", re.IGNORECASE)


def statuses(text: str) -> frozenset[int]:
    """The statuses that `2xx,409` names.

    Raises:
        BadSettings: an item is neither a status nor a class of them.
    """
    named: set[int] = set()
    for item in text.split(","):
        match = _RANGE.fullmatch(item.strip())
        if match is None:
            raise BadSettings(
                f"{item.strip()!r}: not a status; write 200 or 2xx, with commas between"
            )
        family, one = match.groups()
        named.update(range(int(family) * 100, int(family) * 100 + 100) if family else (int(one),))
    return frozenset(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One kind of request.

    `{id}` (unique among the requests of all runs), `{n}` (counts from 0), `{rand:LO-HI}`, `{uuid}`
    and `{csv:COLUMN}` may stand in the target, in header values and in the body; any other brace
    is text.

    Attributes:
        method: GET, POST, ...
        target: path and query; empty: the plan's URL has them.
        headers: added to `host` and, where there is a body, `content-length`.
        body: None sends no content-length.
        weight: its share, relative to the plan's other templates.
        expect: statuses that are not an error.
        name: in reports; empty: method and target.
        tag: what kind of traffic it is, sent as `X-Traffic-Tag`; empty: not said.
    """

    method: str = "GET"
    target: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    weight: float = 1.0
    expect: frozenset[int] = field(default_factory=lambda: statuses("2xx"))
    name: str = ""
    tag: str = ""

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.name or f"{self.method} {self.target}".strip()
