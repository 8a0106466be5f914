"""Dependencies that live as long as the application: made once, at its start."""

from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from megahertz.errors import BadRoute, Misused
from megahertz.http.ends import Ends
from megahertz.http.params import Dependency
from megahertz.http.signature import is_async, read, yields
from megahertz.http.threads import Threads, bound

Overrides = MutableMapping[Callable[..., Any], Callable[..., Any]]


class Shared:
    """The values that all routes of an application share, and what is put in others' place.

    Args:
        threads: for `def` functions.
        overrides: what is called in place of what; for tests.
    """

    def __init__(self, threads: Threads, overrides: Overrides) -> None:
        self._threads = threads
        self._overrides = overrides
        self._wanted: dict[Callable[..., Any], dict[str, Callable[..., Any]]] = {}
        self._values: dict[Callable[..., Any], Any] = {}

    def chosen(self, dependency: Dependency, where: str) -> Callable[..., Any]:
        """Who is called: what the route says, unless a test says otherwise.

        Raises:
            BadRoute: nobody that can be called.
        """
        call = dependency.call
        if not callable(call):
            raise BadRoute(f"{where}: Depends({call!r}): takes a function or a class")
        return self._overrides.get(call, call)

    def want(self, call: Callable[..., Any], where: str) -> Callable[[], Any]:
        """Has `call` called when the application starts; a function that gives its value.

        Raises:
            BadRoute: it has a parameter that only a request could give.
        """
        self._add(call, where, [])

        def value() -> Any:
            try:
                return self._values[call]
            except KeyError:
                raise Misused(f"{where}: the application has not started") from None

        return value

    def _add(self, call: Callable[..., Any], where: str, chain: list[Any]) -> None:
        if call in self._wanted:
            return
        if call in chain:
            raise BadRoute(f"{where} depends on itself")
        given: dict[str, Callable[..., Any]] = {}
        for item in read(call, (), where).parameters:
            if item.source != "depends" or item.kind.scope not in (None, "app"):
                raise BadRoute(
                    f"{where}: parameter {item.name!r}: it lives as long as the application "
                    f"(scope='app'), so it may only depend on what does"
                )
            given[item.name] = self.chosen(item.kind, where)
            self._add(given[item.name], where, [*chain, call])
        self._wanted[call] = given

    async def open(self, ends: Ends) -> None:
        """Calls everybody, those that others depend on first."""
        self._values.clear()
        for call, given in self._wanted.items():
            named = {name: self._values[other] for name, other in given.items()}
            self._values[call] = await self._made(call, named, ends)

    async def _made(self, call: Callable[..., Any], named: dict[str, Any], ends: Ends) -> Any:
        if yields(call):
            return await ends.begin(call(**named))
        if yields(call, waiting=False):
            manager = contextmanager(call)(**named)
            return await ends.enter(held_in_threads(self._threads)(manager))
        if is_async(call):
            return await call(**named)
        if isinstance(call, type):
            return call(**named)
        return await self._threads.run(bound(call)(**named))


def held_in_threads(threads: Threads) -> Callable[[AbstractContextManager[Any]], Any]:
    """A plain context manager as an async one; neither end of it runs on the loop."""

    @asynccontextmanager
    async def held(manager: AbstractContextManager[Any]) -> AsyncIterator[Any]:
        def leave(error: BaseException) -> object:
            return manager.__exit__(type(error), error, None)

        value = await threads.enter(manager.__enter__, leave)
        try:
            yield value
        except BaseException as error:
            failed = error
            if not await threads.finish(lambda: leave(failed)):
                raise
        else:
            await threads.finish(bound(manager.__exit__)(None, None, None))

    return held
