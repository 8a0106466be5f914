"""Dependencies of a route: who is called, in which order, and what is cleaned up after.

The tree of `Depends` is laid flat at start-up, dependencies before those who need them. A request
walks the list once; each result has a fixed place in a list that the binders index.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from typing import Any

from megahertz.errors import BadRoute
from megahertz.http.bind import Bound, compile_binder
from megahertz.http.params import Dependency
from megahertz.http.request import Place, Request
from megahertz.http.signature import Signature, is_async, read
from megahertz.http.threads import Threads, bound

Step = Callable[[Request, list[Any], AsyncExitStack], Any]
"""Solves one dependency: `await step(request, solved, stack)` is its result."""


@dataclass(slots=True)
class Dependencies:
    """What the routes' dependencies need to know while they are laid flat.

    Attributes:
        place: what the route's requests share.
        threads: for `def` functions.
        where: for messages.
        rest: the path parameter that may be empty.
        steps: in the order of solving.
    """

    place: Place
    threads: Threads
    where: str
    rest: str | None
    steps: list[Step] = field(default_factory=list)
    _places: dict[Callable[..., Any], int] = field(default_factory=dict)
    _open: list[Callable[..., Any]] = field(default_factory=list)

    def bind(self, handler: Callable[..., Any], signature: Signature) -> Bound:
        """`handler` as a function of a request and the solved dependencies.

        Raises:
            BadRoute: a dependency that depends on itself, or cannot be bound.
        """
        wanted = [item.kind for item in signature.parameters if item.source == "depends"]
        return compile_binder(
            handler,
            signature,
            self.place,
            where=self.where,
            rest=self.rest,
            given=True,
            solved=tuple(self._place_of(dependency) for dependency in wanted),
        )

    def _place_of(self, dependency: Dependency) -> int:
        call = dependency.call
        assert call is not None
        if dependency.cached and call in self._places:
            return self._places[call]
        name = getattr(call, "__qualname__", repr(call))
        if call in self._open:
            raise BadRoute(f"{self.where}: {name} depends on itself")
        self._open.append(call)
        where = f"{self.where}: dependency {name}"
        signature = read(call, self.place.names, where, whole=True)
        step = self._step(call, signature)
        self._open.pop()
        self.steps.append(step)
        if dependency.cached:
            self._places[call] = len(self.steps) - 1
        return len(self.steps) - 1

    def _step(self, call: Callable[..., Any], signature: Signature) -> Step:
        if inspect.isasyncgenfunction(call):
            return _entered(self.bind(asynccontextmanager(call), signature))
        if inspect.isgeneratorfunction(call):
            held = _held_in_threads(self.threads)
            managers = self.bind(contextmanager(call), signature)
            return _entered(lambda request, solved: held(managers(request, solved)))
        if is_async(call):
            return _awaited(self.bind(call, signature))
        if isinstance(call, type):
            return _made(self.bind(call, signature))
        return _threaded(self.bind(bound(call), signature), self.threads)


def takes_body(signature: Signature, names: Sequence[str], where: str) -> bool:
    """Whether it or one of its dependencies, which are no circle, has the body as a parameter."""
    calls = [item.kind.call for item in signature.parameters if item.source == "depends"]
    return any(item.source == "body" for item in signature.parameters) or any(
        takes_body(read(call, names, where, whole=True), names, where) for call in calls
    )


async def solve(steps: Sequence[Step], request: Request, stack: AsyncExitStack) -> list[Any]:
    """The results of all steps; what must be cleaned up is on the stack."""
    solved: list[Any] = []
    for step in steps:
        solved.append(await step(request, solved, stack))
    return solved


def _awaited(make: Bound) -> Step:
    async def step(request: Request, solved: list[Any], stack: AsyncExitStack) -> Any:
        return await make(request, solved)

    return step


def _made(make: Bound) -> Step:
    """Of a class: making an object is not worth a thread."""

    async def step(request: Request, solved: list[Any], stack: AsyncExitStack) -> Any:
        return make(request, solved)

    return step


def _threaded(make: Bound, threads: Threads) -> Step:
    async def step(request: Request, solved: list[Any], stack: AsyncExitStack) -> Any:
        return await threads.run(make(request, solved))

    return step


def _entered(make: Bound) -> Step:
    async def step(request: Request, solved: list[Any], stack: AsyncExitStack) -> Any:
        return await stack.enter_async_context(make(request, solved))

    return step


def _held_in_threads(threads: Threads) -> Callable[[AbstractContextManager[Any]], Any]:
    """A plain context manager as an async one; neither end of it runs on the loop."""

    @asynccontextmanager
    async def held(manager: AbstractContextManager[Any]) -> AsyncIterator[Any]:
        value = await threads.run(manager.__enter__)
        try:
            yield value
        except BaseException as error:
            if not await threads.finish(bound(manager.__exit__)(type(error), error, None)):
                raise
        else:
            await threads.finish(bound(manager.__exit__)(None, None, None))

    return held
