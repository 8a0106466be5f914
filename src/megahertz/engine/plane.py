"""The segment that the workers of a server share: who makes it, and who finds it.

The supervisor makes it and hands its descriptor to every worker, so that limits, breakers and
counters outlive each of them. `mhz run` without a supervisor makes one for itself: then others of
the same user can still look in, by `/proc/PID/fd`. Anything else has memory of its own.
"""

import os
from functools import cache
from pathlib import Path

from megahertz.engine.native import Plane
from megahertz.errors import BackendError

PLANE = "MEGAHERTZ_PLANE"

RULES = ("deadline", "shed", "limit", "breaker", "concurrency")
"""What refuses, by the engine's numbers and in the order in which it asks
(rust/bind/src/gate/rules.rs)."""

SPARE = 8
"""Parts beyond two for each worker: a hot restart has both generations alive, and starts that fail
take theirs until they are reaped."""

_NAME = "/memfd:megahertz-plane"


def for_workers(count: int) -> Plane:
    """One for so many workers, their successors included."""
    return Plane.shared(2 * count + SPARE)


@cache
def plane() -> Plane | None:
    """The one that this process was started with, or has made visible; None if it has none."""
    descriptor = os.environ.pop(PLANE, None)
    if descriptor is None:
        return None
    try:
        return Plane(int(descriptor))
    finally:
        os.close(int(descriptor))


def make_visible() -> None:
    """Gives a server without a supervisor a plane that others may look at."""
    if PLANE in os.environ or plane() is not None:
        return
    made = Plane.shared(SPARE)
    descriptor = made.fileno()
    assert descriptor is not None
    os.environ[PLANE] = str(os.dup(descriptor))
    plane.cache_clear()
    plane()


def look(pid: int) -> Plane:
    """That of a running server, to look at only.

    Raises:
        BackendError: there is no such process, it is somebody else's, or it has no plane.
    """
    try:
        for entry in list(Path(f"/proc/{pid}/fd").iterdir()):
            if _target(entry).startswith(_NAME):
                with entry.open("rb") as file:
                    return Plane(file.fileno(), look=True)
    except OSError as error:
        raise BackendError(f"process {pid}: {error.strerror}") from error
    raise BackendError(f"process {pid} has no plane: is it a server of megahertz's?")


def _target(entry: Path) -> str:
    """What a descriptor is of; nothing where it was closed meanwhile."""
    try:
        return str(entry.readlink())
    except FileNotFoundError:
        return ""
