"""A group that has the instances that a registry tells of."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal, Self

from megahertz.engine import pause
from megahertz.govern.balance import Group, Instance
from megahertz.govern.registry.doubt import Doubt
from megahertz.govern.registry.registration import PAUSES
from megahertz.govern.registry.registry import Registry
from megahertz.observe import series, tells

log = logging.getLogger("megahertz")

GRACE: Final = 30.0
"""Seconds that instances are kept that went with too many others: two or three leases of 10 s."""


@dataclass(frozen=True, slots=True)
class FollowingStatistics:
    """A following at this moment.

    Attributes:
        state: "waiting" for the first list; "following"; "lost": the last list stays.
        instances: in the group.
        doubted: of these, no longer told of, and kept as too many went at once.
        lists: that came.
        losses: how often the registry was lost.
        trouble: why it is lost; empty: it is not.
    """

    state: Literal["waiting", "following", "lost"]
    instances: int
    doubted: int
    lists: int
    losses: int
    trouble: str


class Following:
    """Updates a group whenever its registry tells something new: `App(resources=[following])`.

    While the registry cannot be had the last list stays, whatever it was.

    Args:
        registry: who tells.
        service: of whom.
        group: that is updated.
        patience: seconds that opening waits for the first list; then it goes on without.
        grace: see `GRACE`; 0: what goes is gone.
    """

    def __init__(
        self,
        registry: Registry,
        service: str,
        group: Group,
        *,
        patience: float = 5.0,
        grace: float = GRACE,
    ) -> None:
        self._registry, self._service, self._group = registry, service, group
        self._patience, self._grace = patience, grace
        self._doubt = Doubt(grace)
        self._task: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._heard = asyncio.Event()
        self._state: Literal["waiting", "following", "lost"] = "waiting"
        self._instances = self._doubted = self._lists = self._losses = 0
        self._trouble = ""
        tells(self)

    async def __aenter__(self) -> Self:
        self._heard, self._doubt = asyncio.Event(), Doubt(self._grace)
        self._task = asyncio.create_task(self._follow(), name=f"follow {self._service}")
        try:
            async with asyncio.timeout(self._patience):
                await self._heard.wait()
        except TimeoutError:
            why = self._trouble or "no list yet"
            log.warning("%s: begins without its registry: %s", self._service, why)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        task, self._task = self._task, None
        self._rest()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _follow(self) -> None:
        attempt = 0
        while True:
            try:
                async with aclosing(self._registry.watch(self._service)) as lists:
                    async for instances in lists:
                        attempt = 0
                        self._hear(instances)
                self._lose("the registry says no more")
            except Exception as error:  # whatever a registry raises, the last list stays
                self._lose(str(error) or repr(error))
            attempt += 1
            await asyncio.sleep(pause(attempt, *PAUSES))

    def _hear(self, instances: Sequence[Instance]) -> None:
        now = asyncio.get_running_loop().time()
        if self._state == "lost":
            log.info("%s: its registry is back", self._service)
            self._doubt.renew(now)
        self._state, self._trouble = "following", ""
        self._lists += 1
        self._doubt.hear(instances, now)
        self._update(len({it.name for it in instances}))
        self._heard.set()

    def _update(self, told: int) -> None:
        """With so many that are told of."""
        self._rest()
        loop = asyncio.get_running_loop()
        believed, again = self._doubt.believed(loop.time())
        before, self._doubted = self._doubted, len(believed) - told
        if self._doubted and not before:
            text = "%s: %d of %d instances went at once; they are kept for %g s"
            log.warning(text, self._service, self._doubted, len(believed), self._grace)
        self._instances = len(believed)
        self._group.update(believed)
        if again is not None:
            self._again = loop.call_at(again, self._update, told)

    def _rest(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def _lose(self, why: str) -> None:
        self._rest()  # nobody goes while nobody tells
        if self._state != "lost":
            log.warning("%s: the last list stays: %s", self._service, why)
            self._losses += 1
        self._state, self._trouble = "lost", why

    def statistics(self) -> FollowingStatistics:
        """See there."""
        return FollowingStatistics(
            state=self._state,
            instances=self._instances,
            doubted=self._doubted,
            lists=self._lists,
            losses=self._losses,
            trouble=self._trouble,
        )

    def figures(self) -> Iterator[tuple[str, float]]:
        """For metrics (`megahertz.observe.Source`), by service."""
        yield series("registry_lists_total", service=self._service), self._lists
        yield series("registry_lost", service=self._service), self._state == "lost"
