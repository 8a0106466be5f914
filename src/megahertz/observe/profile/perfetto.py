"""Recordings for ui.perfetto.dev and chrome://tracing (the Trace Event Format, JSON)."""

from collections.abc import Iterator, Sequence
from typing import Any

from megahertz.observe.profile.lanes import lanes_of
from megahertz.observe.profile.recording import Recording, Slice

LOOP, COLLECTOR, BLOCKED, REQUESTS = 1, 2, 3, 10
"""Numbers of rows; those of requests come last."""


def trace_events(recordings: Sequence[Recording]) -> dict[str, Any]:
    """The document; its times are microseconds since the first recording began."""
    first = min((one.began for one in recordings), default=0)
    events = [event for one in recordings for event in _events(one, (one.began - first) / 1e3)]
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _events(recording: Recording, offset: float) -> Iterator[dict[str, Any]]:
    pid = recording.pid
    yield _named("process_name", pid, 0, f"worker {pid}")
    rows = ((LOOP, "loop"), (COLLECTOR, "collector"), (BLOCKED, "late by"))
    for tid, name in rows:
        yield _named("thread_name", pid, tid, name)
    for tid, slices in (
        (LOOP, recording.loop),
        (COLLECTOR, recording.pauses),
        (BLOCKED, recording.blocked),
    ):
        for one in slices:
            yield _slice(one, pid, tid, offset)
    for at, seconds in recording.lags:
        ts = offset + (at + seconds) * 1e6
        values = {"seconds": seconds}
        yield {"ph": "C", "name": "lag", "pid": pid, "tid": 0, "ts": ts, "args": values}
    for number, lane in enumerate(lanes_of(recording), REQUESTS):
        yield _named("thread_name", pid, number, "requests")
        for one in lane:
            yield _slice(one, pid, number, offset)


def _named(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def _slice(one: Slice, pid: int, tid: int, offset: float) -> dict[str, Any]:
    told = {"where": one.where, "trace": one.trace}
    return {
        "ph": "X",
        "name": one.label,
        "pid": pid,
        "tid": tid,
        "ts": offset + one.at * 1e6,
        "dur": one.seconds * 1e6,
        "args": {name: value for name, value in told.items() if value},
    }
