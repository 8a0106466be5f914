"""What goes with every request by itself: the trace, the baggage, the time that is left."""

import time
from math import inf
from typing import Any, Final

from megahertz.context import BUDGET_HEADER, DEADLINE
from megahertz.errors import DeadlineExceeded
from megahertz.http.client.lines import Lines
from megahertz.observe import current, inject, open_telemetry

NOTHING: Final[Lines] = []


def going(timeout: float | None, *, traced: bool = False) -> Lines:
    """Fields of a request that is sent now; empty, and always the same list, where there are none.

    Args:
        timeout: seconds that the caller waits for it.
        traced: whether somebody else tells the trace.

    Raises:
        DeadlineExceeded: there is less than a millisecond: nobody would be there for the answer.
    """
    end = DEADLINE.get()
    tells = not traced and (current() is not None or _in_span())
    if end == inf and not tells:
        return NOTHING
    fields: Lines = []
    if tells:
        trace_: dict[str, str] = {}  # of a list it would make octets, as Kafka has them
        inject(trace_)
        fields += trace_.items()
    if end != inf:
        fields.append((BUDGET_HEADER, _milliseconds(end, timeout)))
    return fields


def recording() -> bool:
    """Whether the request at hand, or whatever else calls, is recorded."""
    otel = open_telemetry()
    return otel is not None and otel.trace.get_current_span().is_recording()


def tell(span: Any, status: int) -> None:
    """What came of a recorded call (OpenTelemetry's HTTP conventions, "HTTP client span"): of a
    client's, 4xx are errors, too."""
    span.set_attribute("http.response.status_code", status)
    if status >= 400:
        span.set_attribute("error.type", str(status))
        span.set_status(open_telemetry().trace.StatusCode.ERROR)


def _in_span() -> bool:
    otel = open_telemetry()
    return otel is not None and otel.trace.get_current_span() is not otel.trace.INVALID_SPAN


def _milliseconds(end: float, timeout: float | None) -> str:
    left = end - time.monotonic()
    whole = int((left if timeout is None or left < timeout else timeout) * 1000)
    if whole < 1:
        raise DeadlineExceeded("no time is left for the call")
    return str(whole)
