"""Pools and queues that tell figures of themselves: whoever is made says so once, by `tells`."""

import logging
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

log = logging.getLogger("megahertz")


class Source(Protocol):
    """Something with figures."""

    def figures(self) -> Iterable[tuple[str, float]]:
        """Each by its series, as `pool_calls{pool="handlers"}`; families are in `families.py`.

        Of a counter (`_total`) what it came to since the process began.
        """
        ...


SOURCES: WeakSet[Source] = WeakSet()
"""Those that live. A thread may add while the loop's reads: readers copy."""


def tells(source: Source) -> None:
    """Its figures are in `/metrics` for as long as it lives."""
    SOURCES.add(source)


def is_counter(name: str) -> bool:
    """Whether a series only grows, by its name."""
    return name.partition("{")[0].endswith("_total")


class Sums:
    """What all sources come to: the same series of several is their sum.

    A counter never goes back: what a source had counted that has gone, or has begun again, is kept.
    """

    def __init__(self) -> None:
        self._past: dict[str, float] = {}
        self._seen: dict[tuple[int, str], float] = {}

    def take(self) -> dict[str, float]:
        """At this moment."""
        told: dict[str, float] = {}
        seen: dict[tuple[int, str], float] = {}
        for source in list(SOURCES):
            for name, value in self._figures(source):
                told[name] = told.get(name, 0.0) + value
                if is_counter(name):
                    seen[id(source), name] = value
        for key, before in self._seen.items():
            if seen.get(key, 0.0) < before:
                self._past[key[1]] = self._past.get(key[1], 0.0) + before
        self._seen = seen
        for name, past in self._past.items():
            told[name] = told.get(name, 0.0) + past
        return told

    @staticmethod
    def _figures(source: Source) -> list[tuple[str, float]]:
        """One that raises is left out from then on: the others are to be told."""
        try:
            return list(source.figures())
        except Exception:
            log.exception("%r tells no figures any more", source)
            SOURCES.discard(source)
            return []


def series(name: str, **labels: str) -> str:
    """A series' name; a plane keeps 88 octets of it."""
    inner = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inner}}}" if inner else name


def escaped(value: str) -> str:
    """As a label's value in Prometheus's text."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
