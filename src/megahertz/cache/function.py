"""`@cached`: a function's answers, kept in levels."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import update_wrapper
from types import FunctionType
from typing import Any, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from megahertz.cache.tiers import Tiers
from megahertz.errors import BadSettings

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", covariant=True)

_NAMED = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


class Cached(Protocol[P, S]):
    """A function behind a cache.

    Attributes:
        tiers: the cache: statistics, warming, the local level. Its keys are what `key` gives.
    """

    tiers: Tiers[Any, Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, S]:
        """What the function answers, or has answered."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The key of a call."""
        ...

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> S | None:
        """What is held here of a call: asks nobody and waits for nothing."""
        ...

    def delete(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        """Has everybody ask the function anew; `Tiers.delete`."""
        ...


def cached(
    ttl: float, *, name: str | None = None, type: Any = None, **options: Any
) -> Callable[[Callable[P, Awaitable[R]]], Cached[P, R]]:
    """Keeps what an `async def` answers for `ttl` seconds, by its arguments.

        @cached(60, remote=remote)
        async def user(number: int) -> User: ...

        await user(7)
        await user.delete(7)

    Arguments have to be hashable, and those that are equal are one key (1, 1.0 and True). All
    callers get the same object.

    Args:
        name: of the cache; module and name of the function where left out.
        type: of the answers; as annotated where left out. Only a `remote` needs it.
        options: of `Tiers`.

    Raises:
        BadSettings: a function that cannot be cached, or an option that cannot be.
    """

    def decorate(function: Callable[P, Awaitable[R]]) -> Cached[P, R]:
        called = f"{function.__module__}.{function.__qualname__}"
        parameters = _parameters(function, called)
        answer = type if type is not None else _answer(function, called, "remote" in options)
        load, key = _calls(function, parameters)
        tiers: Tiers[Any, R] = Tiers(load, ttl, name=name or called, type=answer, **options)
        if len(parameters) == 1 and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY:
            call = _renamed(tiers.get, parameters[0])
        else:
            call = _bound(tiers.get, key)
        update_wrapper(call, function)
        made = cast("Any", call)
        made.tiers, made.key = tiers, key
        made.peek = lambda *args, **named: tiers.peek(key(*args, **named))
        made.delete = lambda *args, **named: tiers.delete(key(*args, **named))
        return cast("Cached[P, R]", call)

    return decorate


def _parameters(function: Callable[..., Any], called: str) -> list[inspect.Parameter]:
    if not inspect.iscoroutinefunction(function):
        raise BadSettings(f"@cached {called}: takes an `async def`")
    found = list(inspect.signature(function).parameters.values())
    loose = [parameter.name for parameter in found if parameter.kind not in _NAMED]
    if loose or (found and found[0].name in ("self", "cls")):
        raise BadSettings(
            f"@cached {called}: of a method, or with *args, there is no key; make a `Tiers` of a "
            "function of the key"
        )
    return found


def _answer(function: Callable[..., Any], called: str, needed: bool) -> Any:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        hints = {}
        why = str(error)
    else:
        why = "it has no annotation"
    if "return" not in hints and needed:
        raise BadSettings(
            f"@cached {called}: Redis gives octets, and what is to become of them is in the "
            f"function's return annotation, or in type=: {why}"
        )
    return hints.get("return", Any)


def _calls(
    function: Callable[..., Awaitable[R]], parameters: list[inspect.Parameter]
) -> tuple[Callable[[Any], Awaitable[R]], Callable[..., Any]]:
    """How the function is called with a key, and the key of a call."""
    signature = inspect.Signature(parameters)
    named = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
    positional = len(parameters) - len(named)

    def key(*args: Any, **kwargs: Any) -> Any:
        if not kwargs and len(args) == positional and not named:
            return args
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return tuple(bound.arguments.values())

    if len(parameters) == 1:
        if named:
            return lambda only: function(**{named[0]: only}), lambda *a, **k: key(*a, **k)[0]
        return function, lambda *args, **kwargs: key(*args, **kwargs)[0]
    if not named:
        return lambda values: function(*values), key

    def load(values: tuple[Any, ...]) -> Awaitable[R]:
        return function(*values[:positional], **dict(zip(named, values[positional:], strict=True)))

    return load, key


def _renamed(get: Any, parameter: inspect.Parameter) -> Any:
    """A copy of `get` whose one parameter has the function's name and default.

    A wrapper that took `*args, **kwargs` would cost as much again as a hit does.
    """
    code = get.__code__
    names = (parameter.name, *(f"_{name}" for name in code.co_varnames[1:]))
    code = code.replace(co_varnames=names)
    default = () if parameter.default is parameter.empty else (parameter.default,)
    return FunctionType(code, get.__globals__, get.__name__, default, get.__closure__)


def _bound(get: Callable[[Any], Coroutine[Any, Any, R]], key: Callable[..., Any]) -> Any:
    async def call(*args: Any, **kwargs: Any) -> R:
        return await get(key(*args, **kwargs))

    return call
