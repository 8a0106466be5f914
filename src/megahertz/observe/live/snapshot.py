"""The picture of a server at one moment, as plain data: for a screen, a page, a program."""

import msgspec

from megahertz.observe.kept import Slow
from megahertz.observe.live.events import Event
from megahertz.observe.live.worker import Held


class Routed(msgspec.Struct, kw_only=True):
    """A route: a second, over the window, but for `total`, and `running`, which is now."""

    route: str
    rate: float
    running: int
    total: int
    p50: float | None
    p99: float | None
    classes: dict[str, float]
    refused: dict[str, float]
    observed: dict[str, float]


class Refusal(msgspec.Struct, kw_only=True):
    """Why a request was refused; `mhz explain` tells more."""

    at: float
    id: str
    route: str
    rule: str
    observed: bool
    figures: dict[str, float | None]


class Limiting(msgspec.Struct, kw_only=True):
    """A limiter: what it allows, calls since the start, and how many would pass now (None: each
    key has its own)."""

    name: str
    law: str
    admitted: int
    refused: int
    forgotten: int
    left: int | None


class Breaking(msgspec.Struct, kw_only=True):
    """A circuit breaker: open or not, and what it has seen in its window."""

    name: str
    state: str
    closes: float
    share: float
    calls: int
    failures: int
    opened: int
    refused: int


class Working(msgspec.Struct, kw_only=True):
    """A worker: of the kernel its memory, processor (as a share of one), threads and files; of
    itself the rest, None where it does not answer."""

    pid: int
    seconds: float
    cpu: float
    memory: int
    threads: int
    files: int | None
    lag: float | None = None
    blocked: str | None = None
    tasks: int | None = None
    connections: int | None = None
    running: int | None = None


class Totals(msgspec.Struct, kw_only=True):
    """All routes together, a second."""

    rate: float
    failed: float
    refused: float
    running: int
    p50: float | None
    p99: float | None


class Snapshot(msgspec.Struct, kw_only=True):
    """The picture.

    Attributes:
        at: seconds since 1970.
        seconds: that rates and latencies are over; 0.0 at the first look.
        totals: of the routes.
        routes: the busiest first.
        workers: by age.
        refusals: the last, the newest first.
        limits: those of this server's workers together.
        breakers: likewise.
        held: requests that wait, the longest first.
        slow: that took longest in the last minute.
        events: warnings and errors of all workers, the newest first.
        notes: what is not to be seen, and why.
    """

    at: float
    seconds: float
    totals: Totals
    routes: list[Routed]
    workers: list[Working]
    refusals: list[Refusal]
    limits: list[Limiting]
    breakers: list[Breaking]
    held: list[Held]
    slow: list[Slow]
    events: list[Event]
    notes: list[str]
