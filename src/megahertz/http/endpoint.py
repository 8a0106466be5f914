"""A declared route as the engine calls it: the handler, and around it only what it asks for.

From the inside out: arguments bound, streaming delivered, layers, bulkhead, rate limit, error
handlers that are coroutines. A handler without any of these, and without parameters, is the
endpoint itself.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from megahertz.engine import Answer, Exchange, Route
from megahertz.errors import BadSettings, RateLimited
from megahertz.govern import GCRA, Bulkhead
from megahertz.http.bind import compile_binder
from megahertz.http.depends import Dependencies, solve, takes_body
from megahertz.http.params import MISSING
from megahertz.http.problems import problem
from megahertz.http.request import Place, Request
from megahertz.http.response import answer_of
from megahertz.http.routes import Declared
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
    """

    app: Any
    seed: Mapping[str, Any]
    threads: Threads
    settle: Callable[[Request, Exception], Answer | None]
    errors: Mapping[type[BaseException], ErrorHandler]


def compile_route(declared: Declared, around: Surroundings) -> Route:
    """The route for the engine.

    Raises:
        BadRoute: the signature does not fit the pattern with its prefixes.
    """
    place = Place(around.app, declared.pattern.names, around.seed)
    signature = read(declared.handler, place.names, declared.where, whole=True)
    call = _handled(declared, signature, place, around)
    bare = call is declared.handler
    outer = governed(call, bare, declared, place)
    if any(is_async(handler) for handler in around.errors.values()):
        outer = guarded(_unbare(outer) if outer is call and bare else outer, around, place)
    return Route(
        methods=declared.methods,
        pattern=declared.pattern.text,
        endpoint=outer,
        bare=bare and outer is call,
        status=declared.status,
        deadline=declared.policy.deadline,
        streams=is_async(declared.handler)
        and not takes_body(signature, place.names, declared.where),
        body_bytes=declared.body_bytes,
    )


def _handled(
    declared: Declared, signature: Signature, place: Place, around: Surroundings
) -> Callable[..., Any]:
    """The handler with its arguments, layers and streams."""
    handler, layers = declared.handler, declared.layers
    if any(item.source == "depends" for item in signature.parameters):
        call = depending(declared, signature, place, around)
        return _layered(call, declared, place, around) if layers else _requested(call, place)
    waits = is_async(handler)
    if waits and not layers and not signature.parameters and not _may_stream(signature):
        return handler
    call = compile_binder(
        handler if waits else bound(handler),
        signature,
        place,
        where=declared.where,
        rest=declared.pattern.rest,
        given=bool(layers),
    )
    if not waits:
        call = _threaded(call, around.threads)
    if layers:
        return _layered(call, declared, place, around)
    return _streamed(call, around.threads) if _may_stream(signature) else call


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


def depending(
    declared: Declared, signature: Signature, place: Place, around: Surroundings
) -> Callable[[Request], Awaitable[Any]]:
    """The handler after its dependencies, and their clean-up after it."""
    threads, handler = around.threads, declared.handler
    dependencies = Dependencies(place, threads, declared.where, declared.pattern.rest)
    waits, streams = is_async(handler), _may_stream(signature) and not declared.layers
    bind = dependencies.bind(handler if waits else bound(handler), signature)
    steps = tuple(dependencies.steps)

    async def call(request: Request) -> Any:
        async with AsyncExitStack() as stack:
            solved = await solve(steps, request, stack)
            made = bind(request, solved)
            value = await (made if waits else threads.run(made))
            if streams and isinstance(value, Deferred):
                return await value.deliver(request._exchange, threads)
            return value

    return call


def _requested(call: Callable[[Request], Awaitable[Any]], place: Place) -> Call:
    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        return call(Request(exchange, place))

    return endpoint


def _layered(call: Call, declared: Declared, place: Place, around: Surroundings) -> Call:
    async def handler(request: Request) -> Any:
        try:
            value = await call(request)
        except Exception as error:
            answer = around.settle(request, error)
            if answer is None:
                raise
            return answer
        return answer_of(value, declared.status)

    chain: Callable[[Request], Awaitable[Any]] = handler
    for layer in reversed(declared.layers):
        chain = layer(chain)

    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        return chain(Request(exchange, place))

    return _streamed(endpoint, around.threads)


def governed(call: Callable[..., Any], bare: bool, declared: Declared, place: Place) -> Any:
    """Around `call`: the bulkhead, and outside it the rate limit."""
    policy = declared.policy
    if policy.concurrency is None and policy.limit is None:
        return call
    call = _unbare(call) if bare else call
    if policy.concurrency is not None:
        call = _confined(call, Bulkhead(policy.concurrency))
    if policy.limit is not None:
        call = _limited(call, policy.limit, _key_of(policy.limit, declared, place))
    return call


def _confined(call: Call, bulkhead: Bulkhead) -> Call:
    async def endpoint(exchange: Exchange) -> Any:
        with bulkhead:
            return await call(exchange)

    return endpoint


def _limited(call: Call, limit: GCRA, key_of: Callable[[Exchange], str] | None) -> Call:
    acquire = limit.try_acquire

    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        wait = acquire() if key_of is None else acquire(key_of(exchange))
        if wait:
            raise RateLimited(f"at most {limit.rate:g} in {limit.per:g} s", retry_after=wait)
        return call(exchange)

    return endpoint


def _key_of(limit: GCRA, declared: Declared, place: Place) -> Callable[[Exchange], str] | None:
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
