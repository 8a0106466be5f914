"""A load that changes: steps and ramps of the rate, or of the number of connections."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from megahertz.errors import BadSettings

Stretch = tuple[float, float, float]
"""Seconds, level at the begin, level at the end."""

_FORM = re.compile(r"(\d+(?:\.\d+)?)(~)?:(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run.

    Attributes:
        level: requests a second (open loop) or connections (closed loop) at its end.
        seconds: how long.
        ramp: in a line from the level before; else at once.
    """

    level: float
    seconds: float
    ramp: bool = False

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.level < 0:
            raise BadSettings(f"{self}: seconds are above 0, a level is at least 0")

    def __str__(self) -> str:
        return f"{self.level:g}{'~' if self.ramp else ''}:{self.seconds:g}"


@dataclass(frozen=True, slots=True)
class Stages:
    """Parts of a run, one after the other.

    Attributes:
        of: what their level counts.
        parts: at least one, and not all of nothing.
    """

    of: Literal["rate", "connections"]
    parts: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if not any(part.level for part in self.parts):
            raise BadSettings(f"stages: a {self.of} above 0 is needed in one at least")

    @property
    def seconds(self) -> float:
        """All together."""
        return sum(part.seconds for part in self.parts)

    @property
    def most(self) -> float:
        """The highest level."""
        return max(part.level for part in self.parts)

    def stretches(self, warmup: float) -> list[Stretch]:
        """With a warm-up at the level that the first stage begins with; a ramp begins at 0."""
        level = 0.0 if self.parts[0].ramp else self.parts[0].level
        found: list[Stretch] = [(warmup, level, level)] if warmup else []
        for part in self.parts:
            found.append((part.seconds, level if part.ramp else part.level, part.level))
            level = part.level
        return found


def stages(of: Literal["rate", "connections"], texts: Sequence[str]) -> Stages:
    """What `1000:10` (a step) and `5000~:30` (a ramp) name: a level and its seconds.

    Raises:
        BadSettings: an item names no stage.
    """
    parts = []
    for text in texts:
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise BadSettings(
                f"{text!r}: no stage; write LEVEL:SECONDS for a step, LEVEL~:SECONDS for a ramp"
            )
        level, ramp, seconds = match.groups()
        parts.append(Stage(float(level), float(seconds), ramp is not None))
    return Stages(of, tuple(parts))
