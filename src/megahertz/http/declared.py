"""One route as it is written down: what it answers, with what, and by which rules."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from megahertz.engine import ANY, WEBSOCKET, Observer
from megahertz.errors import BadRoute
from megahertz.govern import Policy
from megahertz.http.described import Described
from megahertz.http.params import Dependency
from megahertz.http.pattern import Pattern, parse
from megahertz.http.signature import Signature, read
from megahertz.http.websocket import Attendance
from megahertz.observe import SLO
from megahertz.types import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One route as written down, with everything that it inherits so far.

    Attributes:
        methods: upper case.
        path: with every prefix.
        pattern: the same, taken apart.
        handler: the user's function.
        status: of answers that the handler does not make itself.
        policy: its own over its routers'.
        name: the handler's unless given.
        body_bytes: the most that a body may have; None: what the server's limits say.
        layers: the outermost first.
        observers: in front of all else, the outermost first.
        dependencies: called before the handler, for what they do.
        described: what the documentation says of it.
        socket: how its WebSockets are attended; None for HTTP.
        slo: how well it is to be answered; its own, or its router's.
    """

    methods: tuple[str, ...]
    path: str
    pattern: Pattern
    handler: Callable[..., Any]
    status: int
    policy: Policy
    name: str
    body_bytes: int | None = None
    layers: tuple[Layer, ...] = ()
    observers: tuple[Observer, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    described: Described = field(default_factory=Described)
    socket: Attendance | None = None
    slo: SLO | None = None

    @property
    def where(self) -> str:
        """For messages: `GET /items/{sku} (shop.item)`."""
        return place_of(self.methods, self.path, self.handler)

    @property
    def label(self) -> str:
        """Its name among the application's: `GET /items/{sku}`."""
        return f"{','.join(self.methods)} {self.path}"

    def depends(self, signature: Signature) -> bool:
        """Whether the handler of that signature, or its route, has dependencies."""
        return signature.has("depends") or bool(self.dependencies)


def route_of(
    path: str,
    methods: Sequence[str],
    handler: Callable[..., Any],
    status: int,
    name: str | None,
) -> Declared:
    """A route without anything inherited.

    Raises:
        BadRoute: a path, a method, a status or a signature that cannot be served.
    """
    upper = tuple(name if name in (ANY, WEBSOCKET) else name.upper() for name in methods)
    place = place_of(upper, path, handler)
    pattern = parse(path or "/")
    _check(place, upper, handler, status)
    read(handler, pattern.names, place)
    return Declared(
        methods=upper,
        path=path,
        pattern=pattern,
        handler=handler,
        status=status,
        policy=Policy(),
        name=name or str(getattr(handler, "__name__", type(handler).__name__)),
    )


def place_of(methods: tuple[str, ...], path: str, handler: Any) -> str:
    """For messages: `GET /items/{sku} (shop.item)`."""
    name = getattr(handler, "__qualname__", repr(handler))
    return f"{','.join(methods)} {path} ({getattr(handler, '__module__', '?')}.{name})"


def _check(place: str, methods: tuple[str, ...], handler: Any, status: int) -> None:
    if not methods or isinstance(methods, str) or not all(map(_is_method, methods)):
        raise BadRoute(f"{place}: methods={methods!r}: a list of names like GET")
    if not 200 <= status <= 599:
        raise BadRoute(f"{place}: status_code={status}: 200 to 599")
    if not callable(handler):
        raise BadRoute(f"{place}: {handler!r} is not a function")
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise BadRoute(f"{place}: yields; return StreamingResponse(pieces()) from a plain handler")


def _is_method(name: str) -> bool:
    return name.isalpha() or name in (ANY, WEBSOCKET)
