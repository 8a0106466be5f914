"""A handler's signature, read once: what each parameter is and where it comes from."""

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from megahertz.errors import BadRoute
from megahertz.http.background import BackgroundTasks
from megahertz.http.convert import (
    Convert,
    check,
    converter,
    is_body,
    is_many,
    is_model,
    without_none,
)
from megahertz.http.decode import decoder
from megahertz.http.params import MISSING, Body, Dependency, Marker, Path, Query
from megahertz.http.request import Request
from megahertz.http.websocket import WebSocket

Handler = Callable[..., Any]

_NAMED = {"request": Request, "websocket": WebSocket}
"""What a parameter of that name is, if nothing says otherwise."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a handler.

    Attributes:
        name: in Python.
        source: "path", "query", "header", "cookie", "body", "request", "background" or "depends".
        alias: its name there.
        kind: the annotated type; of a dependency, the `Dependency`.
        default: what an absent one is; `MISSING` where it is required.
        convert: text into `kind`; None leaves the text (or, of a body, the bytes).
        many: takes every value of its name.
        by_name: may only be passed by name.
    """

    name: str
    source: str
    alias: str
    kind: Any
    default: Any
    convert: Convert | None
    many: bool = False
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """A handler's parameters and what its return annotation says."""

    parameters: tuple[Parameter, ...]
    returns: Any

    def has(self, source: str) -> bool:
        """Whether a parameter comes from there."""
        return any(item.source == source for item in self.parameters)


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; an object may have an `async def __call__`."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004
    )


def yields(call: Callable[..., Any], *, waiting: bool = True) -> bool:
    """Whether calling it gives a generator: an async one, or a plain one where not `waiting`."""
    test = inspect.isasyncgenfunction if waiting else inspect.isgeneratorfunction
    return test(call) or test(getattr(call, "__call__", None))  # noqa: B004


def read(handler: Handler, names: Sequence[str], where: str, *, whole: bool = False) -> Signature:
    """The signature of `handler` on a pattern with the parameters `names`.

    Args:
        handler: any callable.
        names: in the pattern.
        where: for messages.
        whole: the pattern has every prefix, so a name that it lacks is an error.

    Raises:
        BadRoute: what, where, and what to do about it.
    """
    hints = _hints(handler, where)
    found = tuple(
        _parameter(item, hints.get(item.name, item.annotation), names, where)
        for item in inspect.signature(handler).parameters.values()
    )
    bodies = [item.name for item in found if item.source == "body"]
    if len(bodies) > 1:
        raise BadRoute(f"{where}: {' and '.join(bodies)} are both the body; put them in one Struct")
    for item in found:
        if whole and item.source == "path" and item.alias not in names:
            raise BadRoute(
                f"{where}: parameter {item.name!r}: the pattern has no {{{item.alias}}}; "
                f"add it, or use Query()"
            )
    return Signature(found, hints.get("return", MISSING))


def _hints(handler: Handler, where: str) -> dict[str, Any]:
    target: Any = handler
    if isinstance(handler, type):
        target = vars(handler).get("__init__", handler.__init__)  # type: ignore[misc]
    elif not inspect.isroutine(handler):
        target = type(handler).__call__
    try:
        return typing.get_type_hints(inspect.unwrap(target), include_extras=True)
    except NameError as error:
        raise BadRoute(
            f"{where}: the annotation {error.name!r} is not known in its module; define or import "
            f"it at module level, above the handler"
        ) from error


def _parameter(item: inspect.Parameter, hint: Any, names: Sequence[str], where: str) -> Parameter:
    if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
        raise BadRoute(f"{where}: {item} cannot be bound; name each parameter")
    where = f"{where}: parameter {item.name!r}"
    by_name = item.kind is item.KEYWORD_ONLY
    dependency = _dependency(hint, item.default)
    if dependency is not None:
        return Parameter(item.name, "depends", item.name, dependency, MISSING, None, False, by_name)
    kind, marker = _split(hint)
    default = MISSING if item.default is item.empty else item.default
    if isinstance(default, Marker):
        marker, default = default, default.default
    if kind is item.empty:
        kind = _guess(item, marker, names, where)
    if kind is Request or kind is WebSocket:
        return Parameter(item.name, "request", item.name, kind, MISSING, None, False, by_name)
    if kind is BackgroundTasks:
        return Parameter(item.name, "background", item.name, kind, MISSING, None, False, by_name)
    marker = marker or _source(item.name, kind, names)
    alias = marker.name(item.name)
    many = marker.source in ("query", "header") and is_many(kind)
    convert = _convert(kind, marker, where)
    return Parameter(item.name, marker.source, alias, kind, default, convert, many, by_name)


def _dependency(hint: Any, default: Any) -> Dependency | None:
    notes = typing.get_args(hint) if typing.get_origin(hint) is Annotated else ()
    found = next((note for note in (default, *notes) if isinstance(note, Dependency)), None)
    if found is None or found.call is not None:
        return found
    return replace(found, call=notes[0] if notes else hint)


def _split(hint: Any) -> tuple[Any, Marker | None]:
    """`Annotated[str, Header("x"), Meta(...)]` is the type with its Meta, and the marker."""
    if typing.get_origin(hint) is not Annotated:
        return hint, None
    kind, *notes = typing.get_args(hint)
    markers = [
        note() if isinstance(note, type) and issubclass(note, Marker) else note for note in notes
    ]
    marker = next((note for note in markers if isinstance(note, Marker)), None)
    rest = [note for note in markers if not isinstance(note, Marker)]
    return (Annotated[(kind, *rest)] if rest else kind), marker


def _guess(item: inspect.Parameter, marker: Marker | None, names: Sequence[str], where: str) -> Any:
    if item.name in names or (marker is not None and marker.source != "body"):
        return str
    if item.name in _NAMED:
        return _NAMED[item.name]
    raise BadRoute(f"{where} has no annotation; write `{item.name}: int`, or what it is")


def _source(name: str, kind: Any, names: Sequence[str]) -> Marker:
    if name in names:
        return Path()
    return Body() if is_body(kind) else Query()


def _convert(kind: Any, marker: Marker, where: str) -> Convert | None:
    try:
        return _decoder(kind) if marker.source == "body" else converter(kind)
    except TypeError as error:
        raise BadRoute(f"{where} of type {kind}: {error}") from error


def _decoder(kind: Any) -> Convert | None:
    if kind is bytes:
        return None
    if is_model(model := without_none(kind)):
        return model.model_validate_json  # type: ignore[no-any-return]
    check(kind)
    return decoder(kind)
