"""A logger that asks before it makes a record: what sampling drops costs a tenth of `logging`'s."""

import logging
import sys
from typing import Any

from megahertz.observe.current import CURRENT
from megahertz.observe.logs import Logs


class Logger:
    """Says things of a request, with values by name:

        log = Logger("shop")
        log.info("sold", sku=7)

    They go to the `Logs` that is open; where none is, to `logging`.

    Args:
        name: of who says so.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, message: str, **fields: Any) -> None:
        """For whoever looks for an error."""
        self._say(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """What happens when all is well."""
        self._say(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """What should not happen, and was coped with."""
        self._say(logging.WARNING, message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """What failed."""
        self._say(logging.ERROR, message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """The same, with the exception at hand."""
        self._say(logging.ERROR, message, fields, sys.exc_info()[1])

    def _say(
        self, level: int, message: str, fields: dict[str, Any], error: BaseException | None = None
    ) -> None:
        logs = Logs.active
        if logs is None:
            text = " ".join([message, *(f"{name}={value!r}" for name, value in fields.items())])
            logging.getLogger(self._name).log(level, "%s", text, exc_info=error)
            return
        found = CURRENT.get()
        if logs._sampling.takes(level, found):
            logs._keep(level, message, self._name, fields, error, found)
