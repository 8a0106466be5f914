"""Recordings for speedscope.app and whatever else reads its file format."""

from collections.abc import Iterable, Sequence
from typing import Any

from megahertz.observe.profile.recording import Frame, Recording, Stack

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def speedscope(recordings: Sequence[Recording]) -> dict[str, Any]:
    """The document: of each worker what ran, and where requests waited."""
    frames: dict[tuple[str, str, int], int] = {}
    profiles = [
        _profile(f"{name}, process {one.pid}", one.frames, stacks, frames)
        for one in recordings
        for name, stacks in (("what ran", one.running), ("where requests waited", one.waiting))
    ]
    shown = [
        {"name": name} if not file else {"name": name, "file": file, "line": line}
        for name, file, line in frames
    ]
    return {
        "$schema": SCHEMA,
        "exporter": "megahertz",
        "name": "mhz profile",
        "activeProfileIndex": 0,
        "shared": {"frames": shown},
        "profiles": profiles,
    }


def _profile(
    name: str,
    frames: Sequence[Frame],
    stacks: Iterable[Stack],
    numbers: dict[tuple[str, str, int], int],
) -> dict[str, Any]:
    samples, weights = [], []
    for stack in stacks:
        heads = [(stack.route, "", 0)] + ([(f"span {stack.span}", "", 0)] if stack.span else [])
        below = [frames[number] for number in stack.frames]
        keys = [*heads, *((it.name, it.file, it.line) for it in below)]
        samples.append([numbers.setdefault(key, len(numbers)) for key in keys])
        weights.append(stack.held)
    return {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
