"""The application: routes, what they share, and what is open while they serve."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from megahertz.engine import (
    ANY,
    WEBSOCKET,
    Answer,
    Endpoint,
    Exchange,
    JsonEncoder,
    Observer,
    Plane,
    Route,
)
from megahertz.errors import BadRoute, BadSettings, Refused
from megahertz.govern import Policy
from megahertz.http.attend import compile_socket
from megahertz.http.background import Background
from megahertz.http.connection import settled
from megahertz.http.cors import Dresser
from megahertz.http.declared import Declared
from megahertz.http.encode import encode as to_json
from megahertz.http.endpoint import (
    ErrorHandler,
    Surroundings,
    compile_route,
    nearest,
)
from megahertz.http.ends import Ends
from megahertz.http.face import Face
from megahertz.http.gates import Gates
from megahertz.http.guest import Message, Receive, Send
from megahertz.http.metrics import metrics_of
from megahertz.http.openapi import document
from megahertz.http.overview import Overview
from megahertz.http.pages import pages
from megahertz.http.problems import foreseen, problem, refusals, report
from megahertz.http.refused import EXPLAIN, explaining
from megahertz.http.request import Place, Request
from megahertz.http.response import answer_of, copied
from megahertz.http.routes import Router
from megahertz.http.shared import Overrides, Shared
from megahertz.http.signature import is_async
from megahertz.http.state import State
from megahertz.http.threads import Threads
from megahertz.observe import SLO, Sampler, observed
from megahertz.types import Layer, Resource, Retiring

F = TypeVar("F", bound=ErrorHandler)

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


class App(Router):
    """An application; `mhz run module:app` serves it.

    Args:
        title: for people.
        policy: what every route inherits.
        lifespan: an async context manager function of the application, entered before the first
            request; a mapping that it yields begins every `request.state`.
        resources: opened in order before the lifespan, closed in reverse after it.
        layers: what stands in front of every route, the outermost first; observers (`Tracing`,
            `Logs`) stand in front of all others, behind the rules of policies.
        dependencies: `Depends(...)` that are called before every handler, for what they do.
        debug: answers with the traceback of an unknown error; not for production.
        version: of the API that it serves.
        description: of the API, in Markdown.
        openapi_url: where its OpenAPI document is, unless a route of its own is there; None:
            nowhere, and no page either.
        docs_url: where the page is that shows the document; None: nowhere.
        metrics_url: where Prometheus finds what all workers have counted of each route; None:
            nowhere, and routes without rules are not counted.
        explain_token: who shows it (`Authorization: Bearer`) is told by `/_mhz/explain` why
            requests were refused, `?id=` for one; None: nobody, but for `mhz explain`.
        overview: a page at `/_mhz/` that shows what all workers do; None: there is none, and
            `mhz top` on the machine alone.
        slo: how well routes are to be answered that do not say so themselves.

    Example:
        >>> app = App(title="shop")
        >>> @app.get("/items/{sku}")
        ... async def item(sku: int) -> dict[str, int]:
        ...     return {"sku": sku}
    """

    def __init__(
        self,
        *,
        title: str = "megahertz",
        policy: Policy | None = None,
        lifespan: Lifespan | None = None,
        resources: Iterable[Resource] = (),
        layers: Iterable[Layer | Observer] = (),
        dependencies: Iterable[Any] = (),
        debug: bool = False,
        version: str = "0.1.0",
        description: str = "",
        openapi_url: str | None = "/openapi.json",
        docs_url: str | None = "/docs",
        metrics_url: str | None = None,
        explain_token: str | None = None,
        overview: Overview | None = None,
        slo: SLO | None = None,
    ) -> None:
        super().__init__(policy=policy, layers=layers, dependencies=dependencies, slo=slo)
        self.title = title
        self.version = version
        self.description = description
        self._pages = pages(title, self.openapi, openapi_url=openapi_url, docs_url=docs_url)
        self.debug = debug
        self.state = State()
        self.threads = Threads()
        self.dependency_overrides: Overrides = {}
        self.background = Background(self.threads, report)
        self._shared = Shared(self.threads, self.dependency_overrides)
        self._lifespan = lifespan
        self._resources = list(resources)
        self._errors: dict[type[BaseException], ErrorHandler] = {}
        self._seed: dict[str, Any] = {}
        self._open: AsyncExitStack | None = None
        self.gates = Gates(problem, counts=metrics_url is not None or overview is not None)
        if metrics_url is not None:
            self.get(metrics_url, include_in_schema=False)(metrics_of(self.gates.plane))
        if explain_token is not None:
            explain = explaining(self.gates, explain_token)
            self.get(EXPLAIN, policy=Policy.off(), include_in_schema=False)(explain)
        if overview is not None:
            overview.add_to(self, title, self.gates)
            self._resources.append(overview)
        self._face = Face(self)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The application as ASGI 3, for other servers, middleware and test clients."""
        await self._face(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Its OpenAPI 3.1 document."""
        return document(self, title=self.title, version=self.version, description=self.description)

    def exception_handler(self, kind: type[BaseException]) -> Callable[[F], F]:
        """Declares the decorated `(request, error) -> response` as the answer to errors of `kind`.

        The closest class wins. A passed deadline is answered after the handler is gone, so only
        a plain `def` is asked about `DeadlineExceeded`.
        """
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise BadRoute(f"exception_handler({kind!r}): takes a class of exceptions")

        def declare(handler: F) -> F:
            self._errors[kind] = handler
            return handler

        return declare

    @property
    def routes(self) -> Sequence[Route]:
        """Every route declared until now, compiled; for the engine."""
        return self._compile()

    @property
    def plane(self) -> Plane | None:
        """Where the engine counts, and the process writes its figures; None: `metrics_url` is."""
        return self.gates.plane() if self.gates.counts else None

    @property
    def fallback(self) -> Endpoint | None:
        """None: the engine answers 404 and 405; with a layer such as CORS we do, as it adds to
        them, and with an observer, as it shall see them."""
        layers: list[Any] = list(self._layers)
        observers = [layer for layer in layers if isinstance(layer, Observer)]
        if not observers and not self._dressers():
            return None
        route = Route(methods=(ANY,), pattern="/", endpoint=self._unmatched)
        return observed(route, observers, self.failed).endpoint

    @property
    def refusals(self) -> Mapping[int, Answer]:
        """The engine's own answers, as problem documents."""
        return refusals()

    encode = JsonEncoder(to_json)
    """JSON of a handler's value, by the engine itself where it is plain."""

    def failed(self, exchange: Exchange, error: BaseException) -> Answer:
        """The answer to a request whose handler raised, or ran out of time."""
        return self._dressed(exchange, self._answer_to(exchange, error))

    def _answer_to(self, exchange: Exchange, error: BaseException) -> Answer:
        handler = nearest(self._errors, error)
        if handler is not None and not is_async(handler):
            try:
                value = handler(Request(exchange, Place(self)), error)
                return answer_of(value, problem(error).status_code)
            except Exception as fresh:
                error = fresh
        report(error, f"{exchange.method} {exchange.path}")
        return problem(error, debug=self.debug)

    def _words_refusals(self) -> bool:
        """Whether the answer to a refusal is not the same for every request."""
        family = (Refused, *Refused.__subclasses__(), *Refused.__mro__)
        return bool(self._dressers()) or any(kind in self._errors for kind in family)

    def _dressers(self) -> list[Dresser]:
        layers: list[Any] = list(self._layers)
        return [layer for layer in layers if isinstance(layer, Dresser)]

    def _dressed(self, exchange: Exchange, answer: Answer) -> Answer:
        """With what layers add to answers that they do not see."""
        dressers = self._dressers()
        if not dressers:
            return answer
        answer = copied(answer)
        for layer in dressers:
            layer.dress(Request(exchange, Place(self)), answer)
        return answer

    def _unmatched(self, exchange: Exchange) -> Answer:
        """No route: 404, 405 or 426, or the answer to a preflight."""
        request = Request(exchange, Place(self))
        for layer in self._dressers():
            answer = layer.preflight(request)
            if answer is not None:
                return answer
        return self._dressed(exchange, self._face.refusal(exchange))

    async def __aenter__(self) -> "App":
        self._seed.clear()
        async with AsyncExitStack() as stack:
            stack.callback(self.threads.close)
            if self.plane is not None:
                await stack.enter_async_context(Sampler(self.plane))
            for app in self._apps():
                for resource in app._resources:
                    await stack.enter_async_context(resource)
            for app in self._apps():
                if app._lifespan is not None:
                    yielded = await stack.enter_async_context(app._lifespan(app))
                    self._seed.update(yielded if isinstance(yielded, Mapping) else {})
            for part in self._opened():
                await stack.enter_async_context(part)
            await self._shared.open(await stack.enter_async_context(Ends()))
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> bool | None:
        stack, self._open = self._open, None
        await settled()
        if stack is not None:
            await stack.aclose()
        return None

    async def retire(self) -> None:
        """Lets resources tell others that it is going (`Retiring`), all at the same time."""
        parts: list[Any] = [it for app in self._apps() for it in app._resources]
        await asyncio.gather(*(it.retire() for it in parts if isinstance(it, Retiring)))

    def set_policy(self, policy: Policy, *, route: str | None = None) -> None:
        """Other rules from the next request on, in this worker; all routes at once, or none.

        Args:
            policy: in place of the application's; or of a route's own, over the application's.
            route: as `mhz routes` names it: `GET /items/{sku}`.

        Raises:
            BadSettings: there is no such route, or it needs what only a new worker can build in.
        """
        if route is not None:
            return self.gates.change({route: policy.over(self.policy)})
        before, self.policy = self.policy, policy
        served = set(self.gates.labels())
        changed = {it.label: it.policy for it in self.declared() if it.label in served}
        try:
            self.gates.change(changed)
        except BadSettings:
            self.policy = before
            raise

    def _apps(self) -> list["App"]:
        found = dict.fromkeys(router for router in self.family() if isinstance(router, App))
        return list(found)

    def _opened(self) -> list[Resource]:
        """Layers and mounts that live as long as the application; each once, wherever it is."""
        parts: list[Any] = []
        for router in self.family():
            parts += [*router._layers, *router._mounts]
        return list({id(part): part for part in parts if isinstance(part, Resource)}.values())

    def _compile(self) -> list[Route]:
        self.gates.answer = None if self._words_refusals() else problem
        around = Surroundings(
            app=self,
            seed=self._seed,
            threads=self.threads,
            settle=self._settle,
            errors=self._errors,
            shared=self._shared,
            background=self.background,
            gates=self.gates,
        )
        seen: dict[tuple[str, str], Declared] = {}
        made = []
        for declared in self.declared():
            _claim(declared, seen)
            made.append((declared, _compiled(declared, around)))
        for page in self._pages.declared():
            if all((method, page.pattern.text) not in seen for method in page.methods):
                _claim(page, seen)
                made.append((page, _compiled(page, around)))
        found = [route for _, route in made] + list(_stems(made, seen))
        return found + list(_preflights(made, seen, self))

    async def _settle(self, request: Request, error: Exception) -> Answer | None:
        handler = nearest(self._errors, error)
        if handler is not None:
            value = handler(request, error)
            value = await value if is_async(handler) else value
            return answer_of(value, problem(error).status_code)
        if not foreseen(error):
            return None
        report(error, f"{request.method} {request.path}")
        return problem(error)


def _compiled(declared: Declared, around: Surroundings) -> Route:
    if declared.socket is None:
        route = compile_route(declared, around)
    else:
        route = compile_socket(declared, declared.socket, around)
    route = replace(route, path=declared.path)
    if declared.slo is not None and declared.slo.latency is not None and route.gate is not None:
        route.gate.aim(declared.slo.latency)
    return observed(route, declared.observers, around.app.failed)


def _stems(
    made: Sequence[tuple[Declared, Route]], seen: dict[tuple[str, str], Declared]
) -> Iterator[Route]:
    """`/files/{*rest}` answers `/files/` as well, where no other route does."""
    for declared, route in made:
        stem = declared.pattern.stem
        if stem is None:
            continue
        free = tuple(method for method in route.methods if (method, stem) not in seen)
        seen.update({(method, stem): declared for method in free})
        if free:
            yield replace(route, methods=free, pattern=stem)


def _preflights(
    made: Sequence[tuple[Declared, Route]], seen: dict[tuple[str, str], Declared], app: App
) -> Iterator[Route]:
    """OPTIONS of what is behind a layer such as CORS, where no other route answers it."""
    for declared, route in made:
        key = ("OPTIONS", route.pattern)
        layers: tuple[Any, ...] = declared.layers
        layer = next((layer for layer in layers if isinstance(layer, Dresser)), None)
        if layer is None or key in seen or set(route.methods) & {ANY, WEBSOCKET}:
            continue
        seen[key] = declared
        endpoint = partial(_preflight, layer, app)
        yield Route(methods=("OPTIONS",), pattern=route.pattern, endpoint=endpoint)


def _preflight(layer: Dresser, app: App, exchange: Exchange) -> Answer:
    request = Request(exchange, Place(app))
    answer = layer.preflight(request)
    if answer is None:
        answer = app._face.refusal(exchange)
        layer.dress(request, answer)
    return answer


def _claim(declared: Declared, seen: dict[tuple[str, str], Declared]) -> None:
    if not declared.path:
        raise BadRoute(f"{declared.where}: an empty path without a prefix; write '/'")
    for method in declared.methods:
        other = seen.setdefault((method, declared.pattern.text), declared)
        if other is not declared:
            raise BadRoute(f"{declared.where} is already {other.where}; remove one of them")
