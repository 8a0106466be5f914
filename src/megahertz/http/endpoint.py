"""A declared route as the engine calls it: the handler, and around it only what it asks for.

In front of it stands its gate, which is the engine's (`govern/gate.py`). From the inside out:
arguments bound, streaming delivered, layers, what of the policy the engine cannot decide, error
handlers that are coroutines. A handler without any of these, and without parameters, is the
endpoint itself.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from megahertz.engine import Answer, Exchange, Route
from megahertz.errors import BadSettings, RateLimited
from megahertz.govern import Bulkhead, Limiter, is_native
from megahertz.http.background import Background
from megahertz.http.bind import compile_binder
from megahertz.http.declared import Declared
from megahertz.http.depends import Dependencies, depending
from megahertz.http.gates import Gates
from megahertz.http.instead import instead_of
from megahertz.http.layers import lasting, lasts, layered
from megahertz.http.params import MISSING
from megahertz.http.problems import problem
from megahertz.http.request import Place, Request
from megahertz.http.response import answer_of
from megahertz.http.shared import Shared
from megahertz.http.signature import Signature, is_async, read
from megahertz.http.stream import Deferred
from megahertz.http.threads import Threads, bound

Call = Callable[[Any], Awaitable[Any]]
ErrorHandler = Callable[[Request, Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an application's routes share.

    Attributes:
        app: for `request.app`.
        seed: for `request.state`.
        threads: for `def` handlers and plain iterators.
        settle: the answer to an error that somebody foresaw, or None; for layers.
        errors: error handlers by the error's class.
        shared: the dependencies that live as long as the application.
        background: the tasks for after the answers.
        gates: of its routes.
    """

    app: Any
    seed: Mapping[str, Any]
    threads: Threads
    settle: Callable[[Request, Exception], Awaitable[Answer | None]]
    errors: Mapping[type[BaseException], ErrorHandler]
    shared: Shared
    background: Background
    gates: Gates


def compile_route(declared: Declared, around: Surroundings) -> Route:
    """The route for the engine.

    Raises:
        BadRoute: the signature does not fit the pattern with its prefixes.
    """
    place = Place(around.app, declared.pattern.names, around.seed)
    signature = read(declared.handler, place.names, declared.where, whole=True)
    plan = plan_of(declared, place, around)
    call = _handled(declared, signature, place, around, plan)
    bare = call is declared.handler
    instead = instead_of(declared, place)
    kept = call if instead is None else instead.keeping(_unbare(call) if bare else call)
    outer = governed(kept, bare and kept is call, declared, place)
    if any(is_async(handler) for handler in around.errors.values()):
        outer = guarded(_unbare(outer) if outer is call and bare else outer, around, place)
    return Route(
        methods=declared.methods,
        pattern=declared.pattern.text,
        endpoint=outer,
        bare=bare and outer is call,
        status=declared.status,
        deadline=declared.policy.deadline,
        streams=is_async(declared.handler) and not (plan.body or signature.has("body")),
        body_bytes=declared.body_bytes,
        instead=instead,
        gate=around.gates.of(declared.label, declared.policy, params=place.names),
        handler=declared.handler,
    )


def plan_of(declared: Declared, place: Place, around: Surroundings) -> Dependencies:
    """The route's dependencies, to be laid flat."""
    rest = declared.pattern.rest
    return Dependencies(place, around.threads, declared.where, rest, around.shared)


def _handled(
    declared: Declared,
    signature: Signature,
    place: Place,
    around: Surroundings,
    plan: Dependencies,
) -> Callable[..., Any]:
    """The handler with its arguments, layers and streams."""
    threads, layers = around.threads, declared.layers
    if declared.depends(signature):
        plan.lay(declared.dependencies)
        call = depending(declared.handler, signature, plan, threads)
    elif layers or signature.has("background"):
        call = _bound(declared, signature, place, threads, given=True)
    else:
        return _direct(declared, signature, place, threads)
    if layers:
        call = layered(call, layers, declared.status, around.settle)
    background = around.background if plan.background or signature.has("background") else None
    if plan.lasting or background is not None or any(map(lasts, layers)):
        make = partial(Request, place=place)
        return lasting(call, make, declared.status, threads, background)
    outer = _requested(call, place)
    return _streamed(outer, threads) if layers or _may_stream(signature) else outer


def _direct(
    declared: Declared, signature: Signature, place: Place, threads: Threads
) -> Callable[..., Any]:
    """With nothing before it; one that takes nothing is the endpoint itself."""
    streams = _may_stream(signature)
    if is_async(declared.handler) and not signature.parameters and not streams:
        return declared.handler
    call = _bound(declared, signature, place, threads)
    return _streamed(call, threads) if streams else call


def _bound(
    declared: Declared,
    signature: Signature,
    place: Place,
    threads: Threads,
    *,
    given: bool = False,
) -> Call:
    waits = is_async(declared.handler)
    call = compile_binder(
        declared.handler if waits else bound(declared.handler),
        signature,
        place,
        where=declared.where,
        rest=declared.pattern.rest,
        given=given,
    )
    return call if waits else _threaded(call, threads)


def _may_stream(signature: Signature) -> bool:
    """False only where the annotation excludes it; then the wrapper is saved (100 ns a request)."""
    returns = signature.returns
    if returns is MISSING or returns is Any or returns is object:
        return True
    if not isinstance(returns, type):
        return "Response" in str(returns)
    return issubclass(Deferred, returns) or issubclass(returns, Deferred)


def _unbare(call: Callable[[], Any]) -> Call:
    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        return call()  # type: ignore[no-any-return]

    return endpoint


def _threaded(call: Callable[..., Callable[[], Any]], threads: Threads) -> Call:
    async def endpoint(exchange: Any) -> Any:
        return await threads.run(call(exchange))

    return endpoint


def _streamed(call: Call, threads: Threads) -> Call:
    async def endpoint(exchange: Exchange) -> Any:
        value = await call(exchange)
        if isinstance(value, Deferred):
            return await value.deliver(exchange, threads)
        return value

    return endpoint


def _requested(call: Call, place: Place) -> Call:
    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        return call(Request(exchange, place))

    return endpoint


def governed(call: Callable[..., Any], bare: bool, declared: Declared, place: Place) -> Any:
    """Around `call`: what of its policy the engine cannot decide by itself."""
    limit, concurrency = declared.policy.rule("limit"), declared.policy.rule("concurrency")
    limit = None if is_native(limit) else limit
    concurrency = concurrency if declared.socket is not None else None
    if limit is None and concurrency is None:
        return call
    call = _unbare(call) if bare else call
    if concurrency is not None:
        call = _confined(call, Bulkhead(concurrency))
    if limit is not None:
        call = _limited(call, limit, _key_of(limit, declared, place))
    return call


def _confined(call: Call, bulkhead: Bulkhead) -> Call:
    async def endpoint(exchange: Exchange) -> Any:
        with bulkhead:
            return await call(exchange)

    return endpoint


def _limited(call: Call, limit: Limiter, key_of: Callable[[Exchange], str] | None) -> Call:
    if limit.waits:
        return _waiting(call, limit, key_of)
    acquire = limit.try_acquire

    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        wait = acquire() if key_of is None else acquire(key_of(exchange))
        if wait:
            raise RateLimited(f"at most {limit.rate:g} in {limit.per:g} s", retry_after=wait)
        return call(exchange)

    return endpoint


def _waiting(call: Call, limit: Limiter, key_of: Callable[[Exchange], str] | None) -> Call:
    async def endpoint(exchange: Exchange) -> Any:
        await limit.acquire(None if key_of is None else key_of(exchange))
        return await call(exchange)

    return endpoint


def _key_of(limit: Limiter, declared: Declared, place: Place) -> Callable[[Exchange], str] | None:
    key = limit.key
    if key is None:
        return None
    if not isinstance(key, str):
        return lambda exchange: key(Request(exchange, place))
    if key == "client":
        return lambda exchange: "" if exchange.peer is None else exchange.peer[0]
    kind, _, name = key.partition(":")
    if kind == "header":
        field = name.lower()
        return lambda exchange: exchange.header(field) or ""
    if name not in place.names:
        raise BadSettings(f"{declared.where}: {limit!r}: the pattern has no {{{name}}}")
    index = place.names.index(name)
    return lambda exchange: exchange.params[index]


def guarded(call: Call, around: Surroundings, place: Place) -> Call:
    """Error handlers that wait cannot run in `Service.failed`, so they run here."""
    errors = around.errors
    kinds = tuple(kind for kind, handler in errors.items() if is_async(handler))

    async def endpoint(exchange: Exchange) -> Any:
        try:
            return await call(exchange)
        except kinds as error:
            handler = nearest(errors, error)
            if handler is None or exchange.started or not is_async(handler):
                raise
            value = await handler(Request(exchange, place), error)
            return answer_of(value, problem(error).status_code)

    return endpoint


def nearest(
    handlers: Mapping[type[BaseException], ErrorHandler], error: BaseException
) -> ErrorHandler | None:
    """The handler of the error's class, or of the closest above it."""
    for kind in type(error).__mro__:
        if kind in handlers:
            return handlers[kind]
    return None
