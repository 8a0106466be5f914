"""Why a handler is being cancelled."""

import sys
import time
from asyncio import CancelledError
from typing import Final

from megahertz.context.deadline import DEADLINE, EXPIRED

GONE: Final = "client disconnected"
CLOSED: Final = "server closed"

_EARLY = 0.001
"""uvloop's timers are whole milliseconds, rounded: one may fire before the moment has come."""


def cancel_reason() -> str | None:
    """`GONE`, `EXPIRED` or `CLOSED`; None while nothing is being cancelled, or by somebody else.

    For `except asyncio.CancelledError:` and `finally:`. The reason is the message that the engine
    cancels with (asyncio hands it on from what is waited for to who waits). A `TaskGroup` cancels
    its children without one: of those, only that the deadline has passed is known.
    """
    error = sys.exc_info()[1]
    if not isinstance(error, CancelledError):
        return None
    message = error.args[0] if error.args else None
    if message in (GONE, EXPIRED, CLOSED):
        return str(message)
    late = message is None and DEADLINE.get() <= time.monotonic() + _EARLY
    return EXPIRED if late else None
