"""pytest: `async def` tests run on a fresh loop, nothing to mark or configure.

`MEGAHERTZ_TEST_LOOP=uvloop` runs them on uvloop instead of asyncio's own loop.
"""

import asyncio
import inspect
import os
from collections.abc import Callable
from typing import Any

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test with `asyncio.run`; anything else is pytest's."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.environ.get("MEGAHERTZ_TEST_LOOP") != "uvloop":
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
