"""What workers say of themselves, asked of each by its inspector."""

from collections.abc import Sequence

import msgspec

from megahertz.engine import ask_all
from megahertz.errors import BackendError
from megahertz.observe.live.worker import Worker, WorkerState

STATE = "state"
"""The question."""

TIMEOUT = 1.0
"""Seconds for all of them together: one whose loop is blocked answers after 0.25."""


def states(pids: Sequence[int], own: Worker | None = None) -> dict[int, WorkerState | None]:
    """The states of workers by process id, None where one does not answer.

    Args:
        pids: of a server's workers.
        own: this process's, which is not asked but looked at.
    """
    mine = None if own is None else own.pid
    found: dict[int, WorkerState | None] = {}
    answers = ask_all([pid for pid in pids if pid != mine], STATE, timeout=TIMEOUT)
    for pid, answer in answers.items():
        found[pid] = None if isinstance(answer, BackendError) else _state(answer)
    if own is not None:
        found[own.pid] = own.state()
    return found


def _state(answer: bytes) -> WorkerState | None:
    try:
        return msgspec.json.decode(answer, type=WorkerState)
    except msgspec.MsgspecError:  # of another version of megahertz
        return None
