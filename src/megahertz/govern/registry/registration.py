"""An instance in a registry: put there at the start, kept there, taken out first at the end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal, Self

from megahertz.engine import pause
from megahertz.observe import series, tells

log = logging.getLogger("megahertz")

LINGER: Final = 1.0
"""Seconds between leaving the registry and refusing calls (go-zero: 1 s)."""

PAUSES: Final = (0.1, 15.0)
"""Seconds of the longest pause before the second attempt, and of any (Consul's own agents wait up
to 30 s, Envoy's xDS client too)."""

Lost = Callable[[], Awaitable[str]]
"""Waits until the registry no longer tells of us, and says why."""


@dataclass(frozen=True, slots=True)
class RegistrationStatistics:
    """A registration at this moment.

    Attributes:
        state: "waiting" until it is there; "registered"; "lost" until it is there again; "retired".
        registered: how often it was put there.
        losses: how often it was no longer there, or could not be put there.
        trouble: why it is not there; empty: it is.
    """

    state: Literal["waiting", "registered", "lost", "retired"]
    registered: int
    losses: int
    trouble: str


class Registration:
    """Tells a registry of an instance as long as it is open: `App(resources=[registration])`.

    What is lost (a lease that ran out, an agent that forgot) is put there again. An application
    that is stopped retires it before it refuses anything, and waits until callers have heard.

    Args:
        name: of service and instance, for logs.
        hold: puts it there; gives how to wait for its loss; at its end takes it out.
        patience: seconds that opening waits for the registry; then it goes on trying beside.
        linger: see `LINGER`.
    """

    def __init__(
        self,
        name: str,
        hold: Callable[[], AbstractAsyncContextManager[Lost]],
        *,
        patience: float = 5.0,
        linger: float = LINGER,
    ) -> None:
        self._name, self._hold = name, hold
        self._patience, self._linger = patience, linger
        self._task: asyncio.Task[None] | None = None
        self._there = asyncio.Event()
        self._state: Literal["waiting", "registered", "lost", "retired"] = "waiting"
        self._registered = self._losses = 0
        self._trouble = ""
        tells(self)

    async def __aenter__(self) -> Self:
        self._there, self._state = asyncio.Event(), "waiting"
        self._task = asyncio.create_task(self._run(), name=f"register {self._name}")
        try:
            async with asyncio.timeout(self._patience):
                await self._there.wait()
        except TimeoutError:
            log.warning("%s: begins without its registry: %s", self._name, self._trouble)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._leave()

    async def retire(self) -> None:
        """Takes it out, and lingers; at once where it was not there."""
        told = self._state == "registered"
        await self._leave()
        if told:
            await asyncio.sleep(self._linger)

    async def _leave(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._state = "retired"

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with self._hold() as lost:
                    self._put()
                    attempt = 0
                    self._lose(await lost())
            except Exception as error:  # whatever a registry raises, we go on
                self._lose(str(error) or repr(error))
            attempt += 1
            await asyncio.sleep(pause(attempt, *PAUSES))

    def _put(self) -> None:
        if self._state == "lost":
            log.info("%s: registered again", self._name)
        self._state, self._trouble = "registered", ""
        self._registered += 1
        self._there.set()

    def _lose(self, why: str) -> None:
        if self._state != "lost":
            log.warning("%s: not registered: %s", self._name, why)
        self._state, self._trouble = "lost", why
        self._losses += 1

    def statistics(self) -> RegistrationStatistics:
        """See there."""
        return RegistrationStatistics(self._state, self._registered, self._losses, self._trouble)

    def figures(self) -> Iterator[tuple[str, float]]:
        """For metrics (`megahertz.observe.Source`), by service and instance."""
        yield series("registrations", instance=self._name), self._state == "registered"
        yield series("registration_losses_total", instance=self._name), self._losses
