"""What is left of a deadline, as a header that an outgoing call carries.

Rules: rounded down, so that nobody is promised more than there is. With nothing left nothing is
sent: the caller is told before the call is made. What cannot be read is refused, as a peer whose
budget is misread works for nobody.
"""

import re
from typing import Final

from megahertz.context.deadline import deadline
from megahertz.errors import DeadlineExceeded, RemoteProtocolError

BUDGET_HEADER: Final = "x-envoy-expected-rq-timeout-ms"
"""Whole milliseconds, as Envoy tells the services behind it (its router's docs)."""

_HEADER = re.compile(r"[0-9]{1,10}", re.ASCII)
_GRPC = re.compile(r"([0-9]{1,8})([HMSmun])", re.ASCII)

_UNITS: Final = {
    "n": 1,
    "u": 1_000,
    "m": 1_000_000,
    "S": 1_000_000_000,
    "M": 60_000_000_000,
    "H": 3600_000_000_000,
}
"""gRPC's units in nanoseconds, the finest first."""

_DIGITS = 10**8
"""A gRPC timeout has at most 8 digits (gRPC over HTTP/2, "TimeoutValue")."""


def budget_headers(name: str = BUDGET_HEADER) -> dict[str, str]:
    """The header for an outgoing HTTP call; none without a deadline.

    Raises:
        DeadlineExceeded: less than a millisecond is left; 0 would mean "no limit" to Envoy.
    """
    left = deadline()
    if left is None:
        return {}
    milliseconds = int(left * 1000)
    if not milliseconds:
        raise DeadlineExceeded("no time is left for the call")
    return {name: str(milliseconds)}


def read_budget(text: str) -> float:
    """Seconds, from the value of an incoming header; 0.0 where nothing is left.

    Raises:
        RemoteProtocolError: it is not a whole number of milliseconds of at most 10 digits.
    """
    if not _HEADER.fullmatch(text):
        raise RemoteProtocolError(f"a budget of {text[:20]!r}: whole milliseconds expected")
    return int(text) / 1000


def grpc_timeout() -> str | None:
    """The value of `grpc-timeout` for an outgoing gRPC call; None without a deadline.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    left = deadline()
    if left is None:
        return None
    if not left:
        raise DeadlineExceeded("no time is left for the call")
    return format_grpc_timeout(left)


def format_grpc_timeout(seconds: float) -> str:
    """At most 8 digits and the finest unit that they can tell it in: 0.25 s is `250000u`.

    Nothing and less is `0n`; more than 8 digits of hours is `99999999H`.
    """
    nanoseconds = max(0, int(min(seconds, 1e18) * 1e9))
    for unit, size in _UNITS.items():
        if nanoseconds < _DIGITS * size:
            return f"{nanoseconds // size}{unit}"
    return f"{_DIGITS - 1}H"


def read_grpc_timeout(text: str) -> float:
    """Seconds, from the value of an incoming `grpc-timeout`.

    Raises:
        RemoteProtocolError: it is not 1 to 8 digits and one of the units H, M, S, m, u, n.
    """
    found = _GRPC.fullmatch(text)
    if found is None:
        raise RemoteProtocolError(f"grpc-timeout {text[:20]!r}: 1 to 8 digits and a unit expected")
    return int(found[1]) * _UNITS[found[2]] / 1e9
