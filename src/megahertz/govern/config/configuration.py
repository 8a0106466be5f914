"""Typed settings that change while a service runs.

Rules: a version is read, validated and built aside, and becomes the present one by one assignment;
who reads holds an immutable value, and never half of a change. Versions are applied in etcd's
order, each once; each subscriber is told each applied version once, in that order, and ends at the
last. Nothing is left out for a subscriber that is slow: where one is `BEHIND` versions behind, the
next version waits for it, and etcd keeps what follows. A version that nobody applied because etcd
compacted it away meanwhile is not told; the one behind it is. A bad version changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, Self, TypeVar

import msgspec

from megahertz.backends import Etcd
from megahertz.errors import BackendError, BadSettings, Compacted
from megahertz.govern.config.documents import Document, Documents
from megahertz.govern.config.layers import (
    Layer,
    built,
    check_type,
    from_environment,
    from_file,
    from_json,
)
from megahertz.govern.config.subscriber import Subscriber
from megahertz.observe import series, tells

T = TypeVar("T", bound=msgspec.Struct)

log = logging.getLogger("megahertz")


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[T]):
    """The settings at one version.

    Attributes:
        version: the revision of etcd at which it was written; 0: without etcd.
        value: of the user's type.
    """

    version: int
    value: T

    def __str__(self) -> str:
        """Without the value: it may hold secrets."""
        return f"version {self.version}"


@dataclass(frozen=True, slots=True)
class ConfigurationStatistics:
    """A configuration at this moment.

    Attributes:
        state: "local": without etcd, or not opened; "following"; "lost": etcd cannot be had, and
            the last version stays.
        version: that is in force.
        applied: versions since it was opened.
        refused: of those that came, as they were bad.
        losses: how often etcd was lost.
        rereads: how often it was read afresh, as it had compacted what came next.
        failures: of subscribers.
        behind: versions that the slowest subscriber has not been told.
        trouble: why the last version was refused, or etcd is lost; empty: nothing.
    """

    state: Literal["local", "following", "lost"]
    version: int
    applied: int
    refused: int
    losses: int
    rereads: int
    failures: int
    behind: int
    trouble: str


class Configuration(Generic[T]):
    """Settings of a type, from defaults < file < environment < etcd.

        class Shop(msgspec.Struct, frozen=True):
            limit: int = 100

        settings = Configuration(Shop, file="shop.toml", environment="SHOP_")
        settings.value.limit

    Without etcd that is all. With it, opened (`App(resources=[etcd, settings])`), it follows the
    document; each worker by itself, so a change reaches all of them.

    Args:
        kind: a frozen Struct; every field needs a default, or a layer that has it.
        file: TOML, YAML or JSON, read once.
        environment: the prefix of variables: `SHOP_` reads `SHOP_LIMIT`.
        etcd: where the document is.
        key: of the document.
        validate: told each value before it is applied; it raises where that is a bad one.
        patience: seconds that opening waits for etcd, and that a subscriber may take (Spring
            Cloud's clients wait 5 s or so).
        required: opening fails where etcd cannot be had in that time; else it begins without.

    Raises:
        BadSettings: a type that is not frozen, or layers that are wrong.
    """

    def __init__(
        self,
        kind: type[T],
        *,
        file: str | Path | None = None,
        environment: str | None = None,
        etcd: Etcd | None = None,
        key: str = "",
        validate: Callable[[T], object] | None = None,
        patience: float = 5.0,
        required: bool = False,
    ) -> None:
        check_type(kind)
        self._kind, self._validate = kind, validate
        self._patience, self._required = patience, required
        self._local: list[Layer] = [] if file is None else [from_file(Path(file))]
        if environment is not None:
            self._local.append(from_environment(kind, environment))
        self._documents = None if etcd is None else Documents(etcd, key)
        self._snapshot = Snapshot(0, self.build(b""))
        self._subscribers: list[Subscriber[Snapshot[T]]] = []
        self._task: asyncio.Task[None] | None = None
        self._lost, self._seen = "", 0
        self._refused_why = ""
        self._applied = self._refused = self._losses = self._rereads = 0
        if self._documents is not None:
            tells(self)

    @property
    def snapshot(self) -> Snapshot[T]:
        """What is in force; hold it for as long as things have to agree."""
        return self._snapshot

    @property
    def value(self) -> T:
        """Its value."""
        return self._snapshot.value

    def build(self, document: bytes) -> T:
        """The value with this document over the other layers; validated, not applied.

        Raises:
            BadSettings: it is a bad one.
        """
        value = built(self._kind, [*self._local, from_json(document)])
        if self._validate is not None:
            try:
                self._validate(value)
            except Exception as error:
                raise BadSettings(f"{self._kind.__name__}: {error}") from error
        return value

    def subscribe(
        self, function: Callable[[Snapshot[T]], Awaitable[object] | object]
    ) -> Callable[[Snapshot[T]], Awaitable[object] | object]:
        """Tells `function` the version in force when it is opened, then each that is applied.

        An error of it is logged and counted; it is told the next version all the same.
        """
        subscriber = Subscriber(function, self._patience)
        self._subscribers.append(subscriber)
        if self._task is not None:
            subscriber.open(self._snapshot)
        return function

    async def __aenter__(self) -> Self:
        """Begins with what etcd has.

        Raises:
            BackendError: it cannot be had, and is required.
            BadSettings: what it has is bad, and so is all of its history.
        """
        if self._documents is not None:
            await self._begin(self._documents)
        for subscriber in self._subscribers:
            subscriber.open(self._snapshot)
        self._task = asyncio.create_task(self._follow(), name="settings")
        return self

    async def __aexit__(self, *exc: object) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        for subscriber in self._subscribers:
            await subscriber.close()

    async def _begin(self, documents: Documents) -> None:
        try:
            async with asyncio.timeout(self._patience):
                found = await documents.read()
                if not self._apply(found):
                    await self._apply_older(documents)
        except (BackendError, TimeoutError) as error:
            if self._required:
                raise
            self._lose(error)

    async def _apply_older(self, documents: Documents) -> None:
        """Better the last good version than none: a restart shall not make it worse."""
        why = self._refused_why
        for written in await documents.history():
            try:
                value = self.build(bytes(written.document))
            except BadSettings:
                continue
            log.warning("settings %s: begins with version %d", documents.key, written.version)
            self._snapshot = Snapshot(written.version, value)
            return
        raise BadSettings(f"{documents.key}: {why}; nor is there a good one in its history")

    async def _follow(self) -> None:
        documents, attempt = self._documents, 0
        while documents is not None:
            try:
                found, revision = await documents.read_at()
                attempt = 0
                if revision < self._seen:
                    log.warning(
                        "settings: etcd went back to revision %d; it is read anew", revision
                    )
                    self._seen = -1
                await self._offer(found, revision)
                await self._watch(documents, revision + 1)
            except Compacted:
                self._rereads += 1
            except Exception as error:  # whatever it is, a watch never ends unseen
                self._lose(error)
                attempt += 1
                await asyncio.sleep(documents.etcd.options.pause(attempt))

    async def _watch(self, documents: Documents, revision: int) -> None:
        watching = documents.etcd.watch(
            documents.key, revision=revision, lost=self._lose, found=self._find
        )
        async with watching as watch:
            async for changes in watch:
                for entry in changes.entries:
                    await self._offer(Document(entry.modified, entry.value), changes.revision)

    async def _offer(self, found: Document, revision: int) -> None:
        """Applies a version, unless it is the one that was seen last."""
        if not found.version and self._seen:
            found = Document(revision, b"")  # it was deleted, and compacted since
        if found.version > self._seen:
            for subscriber in self._subscribers:
                await subscriber.room()
            self._apply(found)

    def _apply(self, found: Document) -> bool:
        """Whether it is good, and now in force."""
        self._seen = found.version
        try:
            value = self.build(found.text)
        except BadSettings as error:
            self._refused += 1
            self._refused_why = f"version {found.version} is refused: {error}"
            log.error("settings: %s; version %d stays", self._refused_why, self._snapshot.version)
            return False
        self._refused_why = ""
        self._snapshot = snapshot = Snapshot(found.version, value)
        self._applied += 1
        if self._task is not None:
            for subscriber in self._subscribers:
                subscriber.tell(snapshot)
        return True

    def _lose(self, error: BaseException) -> None:
        if not self._lost:
            self._losses += 1
            log.warning("settings: version %d stays: %s", self._snapshot.version, error)
        self._lost = str(error) or type(error).__name__

    def _find(self) -> None:
        if self._lost:
            self._lost = ""
            log.info("settings: etcd is back")

    async def settled(self) -> None:
        """Waits until every subscriber was told what is applied by now."""
        for subscriber in self._subscribers:
            await subscriber.settled()

    def statistics(self) -> ConfigurationStatistics:
        """See there."""
        follows = self._documents is not None and self._task is not None
        return ConfigurationStatistics(
            state="lost" if self._lost else "following" if follows else "local",
            version=self._snapshot.version,
            applied=self._applied,
            refused=self._refused,
            losses=self._losses,
            rereads=self._rereads,
            failures=sum(it.failures for it in self._subscribers),
            behind=max((it.behind for it in self._subscribers), default=0),
            trouble=self._refused_why or self._lost,
        )

    def figures(self) -> Iterator[tuple[str, float]]:
        """For metrics (`megahertz.observe.Source`), by the document's key."""
        seen, documents = self.statistics(), self._documents
        found = {
            "settings_applied_total": seen.applied,
            "settings_refused_total": seen.refused,
            "settings_lost": seen.state == "lost",
            "settings_behind": seen.behind,
        }
        key = "" if documents is None else documents.key
        return ((series(family, settings=key), value) for family, value in found.items())
