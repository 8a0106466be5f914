"""A run as a series: rate, percentiles and what the server uses, five times a second."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from megahertz.engine import Latencies

EVERY = 0.2
"""Seconds between samples: short enough to see a pause of the collector, long enough for a P99.9
of 5,000 requests at 25,000 a second."""

# An hour at five a second. Then neighbours are merged and the interval doubles: a week still fits.
_MOST = 18_000


@dataclass(frozen=True, slots=True)
class Sample:
    """An interval of a run; None is what nobody measured.

    Attributes:
        at: seconds since the start of the run, at its end.
        seconds: how long it is.
        rate: answers a second.
        failed: requests without an answer that was expected.
        p50: median latency of what ended within it, in seconds.
        p99: and so on.
        p999: and so on.
        busy: requests that wait for their answer.
        backlog: requests due and not sent (open loop).
        generator: share of the time that the generator's threads worked.
        cpu: of the server, in cores.
        rss: of the server, in bytes.
        tasks: of the server, as it says itself; its threads, where it says nothing.
        lag: seconds that the server's loop is late.
    """

    at: float
    seconds: float
    rate: float
    failed: int
    p50: float | None
    p99: float | None
    p999: float | None
    busy: int
    backlog: int
    generator: float
    cpu: float | None = None
    rss: int | None = None
    tasks: float | None = None
    lag: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Sample))


class Series:
    """Samples from looks at a run, in bounded memory.

    Args:
        threads: of the generator.
        expect: the statuses that are no error, by kind of request.
        most: samples that are kept apart.
    """

    def __init__(
        self, threads: int, expect: Sequence[frozenset[int]], *, most: int = _MOST
    ) -> None:
        self.samples: list[Sample] = []
        self._threads = threads
        self._expect = expect
        self._most = most
        self._last: dict[str, Any] = {"elapsed": 0.0, "answered": 0, "cpu": 0.0}
        self._latencies = Latencies()
        self._failed = 0

    def look(self, seen: dict[str, Any], server: dict[str, Any]) -> Sample | None:
        """The interval since the last look; None where no time has passed."""
        seconds = seen["elapsed"] - self._last["elapsed"]
        if seconds <= 0:
            return None
        sample = self._sample(seen, seconds, server)
        self._last = seen
        if seconds < EVERY / 2 and self.samples:
            # The end of a run cuts its last interval short: too short to be one of its own.
            sample = self.samples[-1] = _merged(self.samples[-1], sample)
            return sample
        self.samples.append(sample)
        if len(self.samples) > self._most:
            pairs = zip(self.samples[::2], self.samples[1::2], strict=False)
            odd = self.samples[-1:] if len(self.samples) % 2 else []
            self.samples[:] = [_merged(one, two) for one, two in pairs] + odd
        return sample

    def _sample(self, seen: dict[str, Any], seconds: float, server: dict[str, Any]) -> Sample:
        latencies = Latencies()
        for kind in seen["latencies"]:
            latencies.add(kind)
        recent, self._latencies = latencies.since(self._latencies), latencies
        failed = sum(count for _, _, count in seen["failures"]) + sum(
            count for kind, status, count in seen["statuses"] if status not in self._expect[kind]
        )
        new, self._failed = failed - self._failed, failed
        known = len(recent) > 0
        return Sample(
            at=seen["elapsed"],
            seconds=seconds,
            rate=(seen["answered"] - self._last["answered"]) / seconds,
            failed=new,
            p50=recent.quantile(0.5) if known else None,
            p99=recent.quantile(0.99) if known else None,
            p999=recent.quantile(0.999) if known else None,
            busy=seen["busy"],
            backlog=seen["backlog"],
            generator=(seen["cpu"] - self._last["cpu"]) / seconds / self._threads,
            **server,
        )


def write(samples: Sequence[Sample], file: Path) -> None:
    """A CSV file with a column for each attribute; empty is what nobody measured."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(sample.as_dict() for sample in samples)


def _merged(one: Sample, two: Sample) -> Sample:
    """Two as one: rates weighted, counts added, the worse of two percentiles, the later gauge."""
    seconds = one.seconds + two.seconds
    share = one.seconds / seconds

    def worse(a: float | None, b: float | None) -> float | None:
        return max(a, b) if a is not None and b is not None else a if b is None else b

    def mean(a: float | None, b: float | None) -> float | None:
        return worse(a, b) if a is None or b is None else a * share + b * (1 - share)

    return Sample(
        at=two.at,
        seconds=seconds,
        rate=one.rate * share + two.rate * (1 - share),
        failed=one.failed + two.failed,
        p50=worse(one.p50, two.p50),
        p99=worse(one.p99, two.p99),
        p999=worse(one.p999, two.p999),
        busy=two.busy,
        backlog=two.backlog,
        generator=one.generator * share + two.generator * (1 - share),
        cpu=mean(one.cpu, two.cpu),
        rss=two.rss,
        tasks=two.tasks,
        lag=worse(one.lag, two.lag),
    )
