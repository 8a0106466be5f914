"""Frames as lines for people, and which of them is the user's own."""

import os
import sysconfig
from collections.abc import Iterable
from types import FrameType
from typing import Any

DEEPEST = 64
"""Frames that are kept of a stack, the innermost ones (asyncio's slow-callback log shows one)."""

OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep
PYTHON = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
PACKAGES = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))


def stack(frame: FrameType | None) -> tuple[str, ...]:
    """`file:line in function`, the innermost first."""
    lines: list[str] = []
    while frame is not None and len(lines) < DEEPEST:
        code = frame.f_code
        lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
        frame = frame.f_back
    return tuple(lines)


def traced(error: BaseException) -> list[str]:
    """The lines of an exception's traceback, the outermost first."""
    lines: list[str] = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        lines.append(f"{code.co_filename}:{step.tb_lineno} in {code.co_qualname}")
        step = step.tb_next
    return lines[-DEEPEST:]


def awaited(coroutine: Any) -> tuple[str, ...]:
    """Where a coroutine that waits is, the innermost first."""
    lines: list[str] = []
    while len(lines) < DEEPEST:
        frame, coroutine = step(coroutine)
        if frame is None:
            break
        code = frame.f_code
        lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
    return tuple(reversed(lines))


def step(coroutine: Any) -> tuple[FrameType | None, Any]:
    """The frame of a coroutine or a generator that waits, and what it waits for."""
    for frame, inner in (("cr_frame", "cr_await"), ("ag_frame", "ag_await")):
        if hasattr(coroutine, frame):
            return getattr(coroutine, frame), getattr(coroutine, inner)
    if hasattr(coroutine, "gi_frame"):
        return coroutine.gi_frame, coroutine.gi_yieldfrom
    return None, None


WAITING = (
    ("selectors.py", "select"),
    (os.path.join("asyncio", "runners.py"), "run"),
    (os.path.join("asyncio", "base_events.py"), "run_forever"),
    (os.path.join("asyncio", "base_events.py"), "_run_once"),
)
"""Functions that a loop's thread is in while no callback runs; uvloop's own are not to be seen."""


def is_waiting(frame: FrameType) -> bool:
    """Whether the thread of a loop is in none of its callbacks."""
    code = frame.f_code
    return any(code.co_name == name and code.co_filename.endswith(file) for file, name in WAITING)


def culprit(lines: Iterable[str]) -> str:
    """The innermost line of the user's own code; else of a package; else the innermost."""
    kept = list(lines)
    own = [line for line in kept if not is_foreign(line)]
    packaged = [line for line in kept if line.startswith(PACKAGES)]
    return next(iter([*own, *packaged, *kept]), "unknown")


def is_foreign(line: str) -> bool:
    """Whether a file belongs to Python, an installed package or megahertz."""
    return line.startswith((OURS, "<frozen ", *PYTHON, *PACKAGES))
