"""Dependencies of a route: who is called, in which order, and what is cleaned up after.

The tree of `Depends` is laid flat at start-up, dependencies before those who need them. A request
walks the list once; each result has a fixed place in a list that the binders index.

Rules: what comes after a yield runs exactly once, in reverse, and sees the error that ended the
handler (`ends.py`). By its scope that is once the answer is sent ("request": as in FastAPI from
0.118 on), once the handler has returned ("function"), or when the application stops ("app").
"""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

from megahertz.errors import BadRoute
from megahertz.http.bind import Bound, compile_binder
from megahertz.http.ends import Ends
from megahertz.http.params import Dependency
from megahertz.http.request import Place
from megahertz.http.shared import Shared, held_in_threads
from megahertz.http.signature import Signature, is_async, read, yields
from megahertz.http.threads import Threads, bound

Step = Callable[[Any, list[Any], Ends], Any]
"""Solves one dependency: `await step(request, solved, brief)` is its result; what it enters for
the length of the handler is in `brief`."""


class Dependencies:
    """One route's dependencies, as they are laid flat.

    Args:
        place: what the route's requests share.
        threads: for `def` functions.
        where: for messages.
        rest: the path parameter that may be empty.
        shared: what lives as long as the application, and what tests put in others' place.

    Attributes:
        steps: in the order of solving.
        lasting: something ends after the answer is sent.
        brief: something ends before that.
        body: one of them has the body as a parameter.
        background: one of them has background tasks.
    """

    def __init__(
        self, place: Place, threads: Threads, where: str, rest: str | None, shared: Shared
    ) -> None:
        self._place, self._threads, self._where, self._rest = place, threads, where, rest
        self._shared = shared
        self._places: dict[tuple[Callable[..., Any], str], int] = {}
        self._open: list[tuple[Callable[..., Any], str]] = []
        self.steps: list[Step] = []
        self.lasting = self.brief = self.body = self.background = False

    def lay(self, first: Iterable[Dependency]) -> None:
        """Those that nobody takes the result of, before the handler's own.

        Raises:
            BadRoute: a dependency that depends on itself, or cannot be bound.
        """
        for dependency in first:
            self._place_of(dependency)

    def bind(self, handler: Callable[..., Any], signature: Signature) -> Bound:
        """`handler` as a function of a request and the solved dependencies.

        Raises:
            BadRoute: as `lay`.
        """
        wanted = [item.kind for item in signature.parameters if item.source == "depends"]
        return compile_binder(
            handler,
            signature,
            self._place,
            where=self._where,
            rest=self._rest,
            given=True,
            solved=tuple(self._place_of(dependency) for dependency in wanted),
        )

    def _place_of(self, dependency: Dependency) -> int:
        call = self._shared.chosen(dependency, self._where)
        scope = dependency.scope or ("request" if _ends(call) else "")
        key = (call, scope)
        if dependency.cached and key in self._places:
            return self._places[key]
        self._check(call, scope)
        self._open.append(key)
        self.steps.append(self._step(call, scope))
        self._open.pop()
        self._places.setdefault(key, len(self.steps) - 1)
        return len(self.steps) - 1

    def _check(self, call: Callable[..., Any], scope: str) -> None:
        if call in (open_ for open_, _ in self._open):
            chain = " -> ".join(name_of(one) for one in [*(it for it, _ in self._open), call])
            raise BadRoute(f"{self._where}: {name_of(call)} depends on itself: {chain}")
        outer = next((it for it, kind in reversed(self._open) if kind == "request"), None)
        if scope == "function" and _ends(call) and outer is not None:
            raise BadRoute(
                f"{self._where}: {name_of(outer)} ends after the answer (scope='request') and "
                f"depends on {name_of(call)}, which ends before it (scope='function')"
            )

    def _step(self, call: Callable[..., Any], scope: str) -> Step:
        where = f"{self._where}: dependency {name_of(call)}"
        if scope == "app":
            return _shared(self._shared.want(call, where))
        signature = read(call, self._place.names, where, whole=True)
        self.body |= signature.has("body")
        self.background |= signature.has("background")
        if _ends(call):
            brief = scope == "function"
            self.brief, self.lasting = self.brief or brief, self.lasting or not brief
            return self._entered(call, signature, brief)
        if is_async(call):
            return _awaited(self.bind(call, signature))
        if isinstance(call, type):
            return _made(self.bind(call, signature))
        return _threaded(self.bind(bound(call), signature), self._threads)

    def _entered(self, call: Callable[..., Any], signature: Signature, brief: bool) -> Step:
        if yields(call):
            make = self.bind(call, signature)

            async def step(request: Any, solved: list[Any], ends: Ends) -> Any:
                return await (ends if brief else request._ends).begin(make(request, solved))

            return step
        held = held_in_threads(self._threads)
        managers = self.bind(contextmanager(call), signature)

        async def enter(request: Any, solved: list[Any], ends: Ends) -> Any:
            manager = held(managers(request, solved))
            return await (ends if brief else request._ends).enter(manager)

        return enter


def depending(
    handler: Callable[..., Any], signature: Signature, plan: Dependencies, threads: Threads
) -> Callable[[Any], Any]:
    """The handler after its dependencies, and before the end of those that end first.

    Raises:
        BadRoute: a dependency that depends on itself, or cannot be bound.
    """
    waits = is_async(handler)
    bind = plan.bind(handler if waits else bound(handler), signature)
    steps = tuple(plan.steps)

    async def call(request: Any, brief: Ends = NONE) -> Any:
        solved: list[Any] = []
        for step in steps:
            solved.append(await step(request, solved, brief))
        made = bind(request, solved)
        return await (made if waits else threads.run(made))

    async def briefly(request: Any) -> Any:
        async with Ends() as brief:
            value = await call(request, brief)
            brief.answer = value
        return value

    inner = briefly if plan.brief else call

    async def ending(request: Any) -> Any:
        begun = request._ends.count()
        try:
            return await inner(request)
        except BaseException as error:
            # Now, and not with the layers' ends: to those in front it may become an answer.
            await request._ends.close(error, begun)

    return ending if plan.lasting else inner


NONE = Ends()
"""For routes on which nothing ends with the handler."""


def name_of(call: Callable[..., Any]) -> str:
    """For messages."""
    return getattr(call, "__qualname__", None) or repr(call)


def _ends(call: Callable[..., Any]) -> bool:
    return yields(call) or yields(call, waiting=False)


def _awaited(make: Bound) -> Step:
    async def step(request: Any, solved: list[Any], brief: Ends) -> Any:
        return await make(request, solved)

    return step


def _made(make: Bound) -> Step:
    """Of a class: making an object is not worth a thread."""

    async def step(request: Any, solved: list[Any], brief: Ends) -> Any:
        return make(request, solved)

    return step


def _threaded(make: Bound, threads: Threads) -> Step:
    async def step(request: Any, solved: list[Any], brief: Ends) -> Any:
        return await threads.run(make(request, solved))

    return step


def _shared(value: Callable[[], Any]) -> Step:
    async def step(request: Any, solved: list[Any], brief: Ends) -> Any:
        return value()

    return step
