"""What `mhz top`, `mhz profile` and `mhz trace` ask of a worker, and another worker's overview."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from megahertz.engine import Inspector, Question, Server
from megahertz.observe import Span, Worker, kept

if TYPE_CHECKING:
    from megahertz.observe import profile


@contextmanager
def inspected(server: Server) -> Iterator[None]:
    """Answers while it is entered, on the server's loop."""
    worker = Worker(asyncio.get_running_loop(), server).open()

    def trace(question: Question) -> list[Span]:
        return kept(str(question.given["id"]))

    def record(question: Question) -> "profile.Recording":
        from megahertz.observe import profile  # for whom nobody looks at it is never imported

        recorder = profile.Recorder(worker, rate=int(question.given["rate"]))
        return recorder.record(float(question.given["seconds"]), question.gone)

    def heap(question: Question) -> "profile.Recording":
        from megahertz.observe import profile

        seconds = float(question.given["seconds"])
        return profile.Recording(
            pid=worker.pid,
            began=time.time_ns(),
            growth=profile.grown(seconds, question.gone),
            cost=profile.Cost(),
        )

    answers = {
        "state": lambda question: worker.state(),
        "trace": trace,
        "profile": record,
        "heap": heap,
    }
    try:
        with Inspector(answers):
            yield
    finally:
        worker.close()
