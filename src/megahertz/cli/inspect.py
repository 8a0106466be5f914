"""What `mhz top` and the overview of another worker ask of this one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from megahertz.engine import Inspector, Question, Server
from megahertz.observe import Span, Worker, kept


@contextmanager
def inspected(server: Server) -> Iterator[None]:
    """Answers while it is entered, on the server's loop."""
    worker = Worker(asyncio.get_running_loop(), server).open()

    def trace(question: Question) -> list[Span]:
        return kept(str(question.given["id"]))

    answers = {"state": lambda question: worker.state(), "trace": trace}
    try:
        with Inspector(answers):
            yield
    finally:
        worker.close()
