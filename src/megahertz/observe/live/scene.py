"""All workers of a server in one picture, with rates: between two looks, a window apart.

Theory: what the workers count together lies in the plane, so routes, refusals, limits and breakers
are read there, at once for all, even if no loop turns any more. What only a process knows is asked
of each (`worker.py`), and what the kernel knows of it is read in /proc.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from megahertz.engine import Plane
from megahertz.observe.kept import Slow
from megahertz.observe.live.snapshot import (
    Breaking,
    Limiting,
    Refusal,
    Routed,
    Snapshot,
    Totals,
    Working,
)
from megahertz.observe.live.worker import Held, WorkerState

WINDOW = 5.0
"""Seconds over which rates and latencies are (`top` refreshes every 3; shorter ones jump)."""

LISTED = 10
"""Refusals, waiting and slow requests, and events that are told: a screen full."""

MOST_ROUTES = 200
"""The busiest of them: what a browser shows without scrolling for ever."""

HIDDEN = "/_mhz/"
"""Routes of our own: who looks is not what is looked at."""

CLASSES = ("gone", "1xx", "2xx", "3xx", "4xx", "5xx")

Tally = tuple[str, int, int, list[int], list[tuple[int, int]], list[int]]

States = Callable[[Sequence[int]], dict[int, WorkerState | None]]


class Scene:
    """Looks at one server, again and again.

    Args:
        plane: of the server.
        rules: names of those that refuse, in the engine's order.
        refusals: the last ones of a plane, as plain data.
        states: asks the workers of these process ids.
        clock: seconds, the monotonic ones of the plane.
        proc: where the kernel tells of processes.
    """

    def __init__(
        self,
        plane: Plane,
        *,
        rules: Sequence[str],
        refusals: Callable[[Plane], list[dict[str, Any]]],
        states: States,
        clock: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        self._plane = plane
        self._rules = rules
        self._refusals = refusals
        self._states = states
        self._clock = clock
        self._proc = proc
        self._bounds = Plane.bounds()
        self._seen: deque[tuple[float, dict[str, Tally]]] = deque()
        self._spent: dict[int, tuple[float, float]] = {}

    def look(self) -> Snapshot:
        """The picture of this moment; rates since the look that is a window ago."""
        now, tallies = self._clock(), {tally[0]: tally[:6] for tally in self._plane.tallies()}
        while len(self._seen) > 1 and now - self._seen[1][0] >= WINDOW:
            self._seen.popleft()
        then, before = self._seen[0] if self._seen else (now, tallies)
        self._seen.append((now, tallies))
        seconds = now - then
        shown = {name: tally for name, tally in tallies.items() if _is_shown(tally)}
        grown = [_grown(tally, before.get(name)) for name, tally in shown.items()]
        routes = [self._route(each, tallies[each[0]], seconds) for each in grown]
        routes.sort(key=lambda one: (-one.rate, -one.total, one.route))
        workers, states = self._workers(now)
        found = [state for state in states.values() if state is not None]
        return Snapshot(
            at=time.time(),
            seconds=seconds,
            totals=self._totals(grown, routes, seconds),
            routes=routes[:MOST_ROUTES],
            workers=workers,
            refusals=[Refusal(**one) for one in self._refusals(self._plane)[:LISTED]],
            limits=[_limit(*one) for one in self._plane.limiters()],
            breakers=[_breaker(name, *state) for name, state in self._plane.breakers()],
            held=_first(_held(found), lambda it: it.seconds or 0.0),
            slow=_first(_slow(found), lambda it: it.seconds),
            events=_first((it for state in found for it in state.events), lambda it: it.at),
            notes=_notes(tallies, states),
        )

    def _route(self, grown: Tally, tally: Tally, seconds: float) -> Routed:
        name, running, _, classes, rules, buckets = grown[:6]
        rate = _rate(seconds)
        refused = {
            which: {
                rule: rate(counts[index])
                for rule, counts in zip(self._rules, rules, strict=False)
                if counts[index]
            }
            for index, which in enumerate(("refused", "observed"))
        }
        return Routed(
            route=name,
            rate=rate(sum(classes)),
            running=running,
            total=sum(tally[3]),
            p50=self._quantile(buckets, 0.5),
            p99=self._quantile(buckets, 0.99),
            classes={told: rate(n) for told, n in zip(CLASSES, classes, strict=True) if n},
            **refused,
        )

    def _totals(self, grown: list[Tally], routes: list[Routed], seconds: float) -> Totals:
        rate = _rate(seconds)
        buckets = [sum(each) for each in zip(*(tally[5] for tally in grown), strict=True)]
        return Totals(
            rate=sum(one.rate for one in routes),
            failed=rate(sum(tally[3][5] for tally in grown)),
            refused=rate(sum(counts[0] for tally in grown for counts in tally[4])),
            running=sum(one.running for one in routes),
            p50=self._quantile(buckets, 0.5),
            p99=self._quantile(buckets, 0.99),
        )

    def _quantile(self, buckets: Sequence[int], share: float) -> float | None:
        """In the middle of its bucket, whose width is a sixteenth of it."""
        left = sum(buckets) * share
        if not left:
            return None
        for index, count in enumerate(buckets):
            left -= count
            if count and left <= 0:
                lower = self._bounds[index - 1] if index else 0
                return (lower + self._bounds[index]) / 2e9
        return None

    def _workers(self, now: float) -> tuple[list[Working], dict[int, WorkerState | None]]:
        owners = sorted(self._plane.owners(), key=lambda one: one[2])
        states = self._states([pid for _, pid, _ in owners])
        found = [
            self._worker(pid, now - since / 1e9, now, states.get(pid)) for _, pid, since in owners
        ]
        return [one for one in found if one is not None], states

    def _worker(
        self, pid: int, seconds: float, now: float, state: WorkerState | None
    ) -> Working | None:
        try:
            fields = (self._proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
            pages = int((self._proc / str(pid) / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return None  # it has ended meanwhile
        try:
            files = len(os.listdir(self._proc / str(pid) / "fd"))
        except OSError:
            files = None
        spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        then, before = self._spent.get(pid, (now, spent))
        self._spent[pid] = (now, spent)
        worker = Working(
            pid=pid,
            seconds=seconds,
            cpu=(spent - before) / (now - then) if now > then else 0.0,
            memory=pages * os.sysconf("SC_PAGE_SIZE"),
            threads=int(fields[17]),
            files=files,
        )
        if state is None:
            return worker
        return msgspec.structs.replace(
            worker,
            lag=state.lag,
            blocked=state.blocked,
            tasks=state.tasks,
            connections=_whole(state, "connections"),
            running=_whole(state, "running"),
        )


def _is_shown(tally: Tally) -> bool:
    """Whether anybody has asked for it."""
    name, running, _, classes, rules, _ = tally
    return HIDDEN not in name and bool(running or any(classes) or any(map(any, rules)))


def _held(states: Iterable[WorkerState]) -> Iterator[Held]:
    for state in states:
        yield from (one for one in state.held if HIDDEN not in one.route)


def _slow(states: Iterable[WorkerState]) -> Iterator[Slow]:
    for state in states:
        yield from (one for one in state.slow if HIDDEN not in one.name)


def _whole(state: WorkerState, name: str) -> int | None:
    value = state.statistics.get(name)
    return None if value is None else int(value)


def _rate(seconds: float) -> Callable[[int], float]:
    return lambda count: count / seconds if seconds > 0 else 0.0


def _grown(tally: Tally, before: Tally | None) -> Tally:
    """What has been added since; all of it where there was nothing."""
    if before is None or before is tally:
        return tally if before is None else (*tally[:2], 0, [0] * 6, [], [0] * len(tally[5]))
    name, running, nanoseconds, classes, rules, buckets = tally[:6]
    return (
        name,
        running,
        nanoseconds - before[2],
        [now - then for now, then in zip(classes, before[3], strict=True)],
        [(a - b, c - d) for (a, c), (b, d) in zip(rules, before[4], strict=True)],
        [now - then for now, then in zip(buckets, before[5], strict=True)],
    )


def _limit(
    name: str, law: Sequence[int], admitted: int, refused: int, forgotten: int, left: int | None
) -> Limiting:
    kind, first, second = law
    if kind == 3:
        told = f"{first} in any {second / 1e9:g} s"
    else:
        waits = kind == 2
        burst = second // first + (0 if waits else 1)
        told = f"{1e9 / first:.6g}/s, {burst} {'may wait' if waits else 'at once'}"
    return Limiting(
        name=name, law=told, admitted=admitted, refused=refused, forgotten=forgotten, left=left
    )


def _breaker(
    name: str, closes: float, share: float, calls: int, failures: int, opened: int, refused: int
) -> Breaking:
    if closes == 0.0:
        state = "closed" if share == 0.0 else f"refuses {share:.0%}"
    else:
        state = "open" if share else "half open"
    return Breaking(
        name=name,
        state=state,
        closes=closes,
        share=share,
        calls=calls,
        failures=failures,
        opened=opened,
        refused=refused,
    )


def _first(found: Iterable[Any], key: Callable[[Any], float]) -> list[Any]:
    return sorted(found, key=lambda one: -key(one))[:LISTED]


def _notes(tallies: dict[str, Tally], states: dict[int, WorkerState | None]) -> list[str]:
    notes = []
    if not tallies:
        notes.append(
            "no route counts: that takes a policy, App(metrics_url=...) or App(overview=...)"
        )
    silent = [str(pid) for pid, state in states.items() if state is None]
    if silent:
        notes.append(f"these do not answer: {', '.join(silent)}")
    known = [state for state in states.values() if state is not None]
    if known and not any(state.records for state in known):
        notes.append("slow requests are not recorded: App(layers=[Tracing(0.01, keep=1024)])")
    return notes
