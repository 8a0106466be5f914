"""The last things that went wrong in this process: what the log `megahertz` says at WARNING."""

import logging

import msgspec

from megahertz.observe.stacks import culprit, traced

MOST = 50
"""Events that are kept; the log has all of them."""

LONGEST = 500
"""Characters of a message."""


class Event(msgspec.Struct, kw_only=True):
    """Something that the log was told.

    Attributes:
        at: seconds since 1970.
        level: warning, error or critical.
        message: at most 500 characters of it.
        where: the user's own line that an exception came from; empty without one.
        count: how often the same was said, while it was kept.
    """

    at: float
    level: str
    message: str
    where: str = ""
    count: int = 1


class Events(logging.Handler):
    """Keeps the last events while it is open.

    It is a handler of the one logger that ours go to, where handlers' errors are reported: one on
    the root would change what `logging` does for programs that have set up nothing.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._events: dict[tuple[str, str, str], Event] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record; the same again only counts."""
        error = record.exc_info[1] if record.exc_info else None
        where = "" if error is None else culprit(reversed(traced(error)))
        message = record.getMessage()[:LONGEST]
        level = record.levelname.lower()
        key = (level, message, where)
        before = self._events.pop(key, None)
        count = 1 if before is None else before.count + 1
        self._events[key] = Event(
            at=record.created, level=level, message=message, where=where, count=count
        )
        if len(self._events) > MOST:
            del self._events[next(iter(self._events))]

    def events(self) -> list[Event]:
        """The newest first."""
        return list(self._events.values())[::-1]

    def open(self) -> None:
        """Listens from now on."""
        logging.getLogger("megahertz").addHandler(self)

    def close(self) -> None:
        """Listens no more."""
        logging.getLogger("megahertz").removeHandler(self)
        super().close()
