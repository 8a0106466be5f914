"""A loop whose time stands still while anything can run, and otherwise jumps to the next timer.

    @virtual
    async def test_it_gives_up_after_an_hour(): ...

`time.monotonic` is the loop's while the test runs, so that what measures agrees with what waits.
A test in which nothing can happen any more fails at once.
"""

import asyncio
import functools
import selectors
import time
from unittest import mock


class _Selector(selectors.DefaultSelector):
    def __init__(self):
        super().__init__()
        self.now = 1_000_000.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        assert timeout is not None, "nothing will ever happen"
        self.now += max(timeout, 1e-6)
        return []


def virtual(test):
    """Runs a coroutine test in virtual time, always on asyncio's own loop."""

    @functools.wraps(test)
    def run(*arguments, **named):
        selector = _Selector()
        clocks = {
            "monotonic": lambda: selector.now,
            "monotonic_ns": lambda: round(selector.now * 1e9),
        }
        with mock.patch.multiple(time, **clocks):
            make = functools.partial(asyncio.SelectorEventLoop, selector)
            with asyncio.Runner(loop_factory=make) as runner:
                runner.run(test(*arguments, **named))

    return run
