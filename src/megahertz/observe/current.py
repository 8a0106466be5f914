"""Which request is being served: its trace, its route and the exchange, in a context variable."""

from contextvars import ContextVar

from megahertz.engine import TraceContext

CURRENT: ContextVar[TraceContext | None] = ContextVar("megahertz-trace", default=None)


def current() -> TraceContext | None:
    """The trace of the request or message at hand; None outside of one, or without an observer."""
    return CURRENT.get()
