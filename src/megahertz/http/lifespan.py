"""The lifespan of an ASGI application: begun before the first request, ended after the last.

An application that does not know it is served without ("auto", as uvicorn calls it): it raises,
or returns, before it has answered. With "on" that is an error. One that answers `startup.failed`
is not served at all.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

from megahertz.errors import Misused

log = logging.getLogger("megahertz")

_LAST_WORDS = 1.0
"""Seconds for an application to return after `shutdown.complete`; it has nothing left to do."""

Message = MutableMapping[str, Any]


class AsgiLifespan:
    """One task that runs `app({"type": "lifespan"}, ...)` from start to stop.

    Attributes:
        state: what the application put into `scope["state"]`; None where it has no lifespan.
        error: what it raised; before it answered that may say only that it has none.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        *,
        use: Literal["auto", "on", "off"] = "auto",
    ) -> None:
        self._app = app
        self._use = use
        self.error: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: asyncio.Queue[Message]
        self._answer: asyncio.Future[Message] | None = None
        self.state: dict[str, Any] | None = None

    async def start(self) -> None:
        """Waits for the application to have started.

        Raises:
            Misused: the application says that it cannot, or with "on" says nothing.
        """
        if self._use == "off":
            return
        self._asked, self.error, self.state = asyncio.Queue(), None, {}
        self._task = asyncio.create_task(self._run(self.state), name="lifespan")
        answer = await self._ask(self._task, "lifespan.startup")
        if answer is None:
            self.state = None
            if self._use == "on":
                raise Misused("the application did not start, or has no lifespan") from self.error
        elif answer["type"] == "lifespan.startup.failed":
            await self._end(self._task)
            reason = answer.get("message") or "no reason"
            raise Misused(f"the application did not start: {reason}") from self.error

    async def stop(self) -> None:
        """Waits for the application to have cleaned up; a failure is logged."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        answer = await self._ask(task, "lifespan.shutdown")
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            log.error("the application did not stop cleanly: %s", answer.get("message", ""))
        await self._end(task)

    async def _ask(self, task: "asyncio.Task[None]", kind: str) -> Message | None:
        """The application's answer; None where it ends without."""
        self._answer = asyncio.get_running_loop().create_future()
        self._asked.put_nowait({"type": kind})
        waits: list[asyncio.Future[Any]] = [self._answer, task]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return self._answer.result() if self._answer.done() else None

    async def _end(self, task: "asyncio.Task[None]") -> None:
        """It has said all that it may; a task that still waits for more is cancelled."""
        await asyncio.wait([task], timeout=_LAST_WORDS)
        task.cancel()
        await asyncio.wait([task])

    async def _send(self, message: Message) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    async def _run(self, state: dict[str, Any]) -> None:
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope = {"type": "lifespan", "asgi": asgi, "state": state}
        try:
            await self._app(scope, self._asked.get, self._send)
        except Exception as error:
            self.error = error
            log.info("the application has no lifespan, or left it: %r", error)
