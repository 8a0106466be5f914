"""Routes as they are declared: decorators, prefixes, and what a route inherits."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from megahertz.engine import ANY, WEBSOCKET, Observer, SocketSettings
from megahertz.errors import BadRoute, BadSettings
from megahertz.govern import Policy
from megahertz.http.asgi import Asgi
from megahertz.http.declared import Declared, place_of, route_of
from megahertz.http.described import Said, described
from megahertz.http.folder import Files
from megahertz.http.layers import check
from megahertz.http.mount import REST, Mount
from megahertz.http.params import Dependency
from megahertz.http.pattern import parse
from megahertz.http.signature import is_async
from megahertz.http.websocket import Attendance, attendance
from megahertz.observe import SLO
from megahertz.types import Layer

H = TypeVar("H", bound=Callable[..., Any])
L = TypeVar("L", bound=Layer | Observer)
T = TypeVar("T", bound=type)


class Options(Said, total=False):
    """What `route` takes besides path and methods."""

    status_code: int
    policy: Policy | None
    name: str | None
    body_bytes: int | None
    dependencies: Iterable[Any]
    slo: SLO | None


class SocketOptions(TypedDict, total=False):
    """What `websocket` and `socket` take besides the path."""

    policy: Policy | None
    name: str | None
    dependencies: Iterable[Any]
    backpressure: Literal["wait", "drop", "close"]
    unsent_bytes: int | None
    compress: bool


class Router:
    """Routes that belong together; an application is one, and includes others.

    Args:
        prefix: what all of its paths begin with, behind the prefix of `include`.
        policy: what these routes inherit.
        layers: what stands in front of each of them, the outermost first.
        dependencies: `Depends(...)` that are called before each handler, for what they do.
        tags: the groups that its routes are in on the documentation's page.
        slo: how well those of them are to be answered that do not say so themselves.

    Raises:
        BadRoute: a prefix without a slash at the front or with one at the end.
    """

    def __init__(
        self,
        prefix: str = "",
        *,
        policy: Policy | None = None,
        layers: Iterable[Layer | Observer] = (),
        dependencies: Iterable[Any] = (),
        tags: Iterable[str] = (),
        slo: SLO | None = None,
    ) -> None:
        _check_prefix(prefix)
        self._prefix = prefix
        self._slo = slo
        self.policy = policy or Policy()
        self._tags = tuple(tags)
        self._layers = list(layers)
        self._dependencies = _dependencies(dependencies)
        for layer in self._layers:
            check(layer)
        self._own: list[Declared] = []
        self._included: list[tuple[str, Router]] = []
        self._mounts: list[Mount] = []

    def route(
        self,
        path: str,
        methods: Sequence[str] = ("GET",),
        *,
        status_code: int = 200,
        policy: Policy | None = None,
        name: str | None = None,
        body_bytes: int | None = None,
        dependencies: Iterable[Any] = (),
        slo: SLO | None = None,
        **said: Unpack[Said],
    ) -> Callable[[H], H]:
        """Declares the decorated function as what answers `methods` on `path`.

        Args:
            path: `/items/{sku}`; `/files/{rest:path}` takes slashes too; empty is the prefix alone.
            methods: GET answers HEAD as well.
            status_code: of answers that the handler does not make itself.
            policy: its rules; what it leaves open is inherited.
            name: for listings; the function's unless given.
            body_bytes: the most that a body may have, in place of `Limits.body_bytes`.
            dependencies: `Depends(...)` that are called before the handler, for what they do.
            slo: how well it is to be answered: `mhz slo` makes alerts of it.
            said: for the documentation; see `Described`.

        Raises:
            BadRoute: a path or a signature that cannot be served.
        """

        def declare(handler: H) -> H:
            declared = route_of(path, methods, handler, status_code, name)
            self._own.append(
                replace(
                    declared,
                    policy=policy or Policy(),
                    body_bytes=body_bytes,
                    dependencies=_dependencies(dependencies),
                    described=described(said),
                    slo=slo,
                )
            )
            return handler

        return declare

    def get(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for GET and HEAD."""
        return self.route(path, ("GET",), **options)

    def post(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for POST."""
        return self.route(path, ("POST",), **options)

    def put(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for PUT."""
        return self.route(path, ("PUT",), **options)

    def patch(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for PATCH."""
        return self.route(path, ("PATCH",), **options)

    def delete(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for DELETE."""
        return self.route(path, ("DELETE",), **options)

    def head(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for HEAD alone."""
        return self.route(path, ("HEAD",), **options)

    def options(self, path: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """`route` for OPTIONS."""
        return self.route(path, ("OPTIONS",), **options)

    def websocket(self, path: str, **options: Unpack[SocketOptions]) -> Callable[[H], H]:
        """Declares the decorated coroutine function as what serves WebSockets on `path`.

        Its parameters are bound like a handler's; one of them is the `WebSocket`. The socket ends
        when it returns.

        Args:
            path: may have HTTP routes too.
            options: `policy` (its deadline bounds the handshake) and `name` as of `route`;
                `backpressure`, what happens above `unsent_bytes` (`Limits.unsent_bytes`) of a
                peer that does not read: the sender waits ("wait"), the oldest messages are dropped
                ("drop"), or it is closed with 1013 ("close"); `compress` messages from 1 KiB on.

        Raises:
            BadRoute: a path or a signature that cannot be served.
        """

        def declare(handler: H) -> H:
            self._add_socket(path, handler, Attendance(_settings(options)), options)
            return handler

        return declare

    def socket(self, path: str, **options: Unpack[SocketOptions]) -> Callable[[T], T]:
        """Declares the decorated class as what is called when WebSockets on `path` do something.

        One object of it serves every socket: `opened(websocket, ...)` with parameters like a
        handler's, `received(websocket, message)` and `closed(websocket, code, reason)`, each
        optional but `received`. An idle socket holds no coroutine and no task.

        Args:
            path: may have HTTP routes too.
            options: as of `websocket`.

        Raises:
            BadRoute: a path, a signature or a method that cannot be served.
        """

        def declare(kind: T) -> T:
            where = place_of((WEBSOCKET,), path, kind)
            opened, attended = attendance(kind, _settings(options), where)
            self._add_socket(path, opened, attended, options)
            return kind

        return declare

    def _add_socket(
        self, path: str, handler: Callable[..., Any], socket: Attendance, options: SocketOptions
    ) -> None:
        if not is_async(handler):
            where = place_of((WEBSOCKET,), path, handler)
            raise BadRoute(f"{where}: a WebSocket's handler is an async def")
        declared = route_of(path, (WEBSOCKET,), handler, 200, options.get("name"))
        policy = options.get("policy") or Policy()
        first = _dependencies(options.get("dependencies", ()))
        self._own.append(replace(declared, policy=policy, socket=socket, dependencies=first))

    def files(
        self,
        path: str,
        directory: str | PathLike[str],
        *,
        max_age: int | None = None,
        index: str = "index.html",
        hidden: bool = False,
        policy: Policy | None = None,
        name: str = "files",
    ) -> None:
        """Serves the files of a folder under `path`, by the kernel where it can.

        Conditions and ranges are answered (RFC 9110 sections 13 and 14). Beside `app.js`, the
        clients that can are given `app.js.br`, `.zst` or `.gz`. Nothing outside of the folder is
        served, whatever the path or a link says. A changed file is served after a second.

        Args:
            path: `/static`; `/` is the whole site.
            directory: of the files.
            max_age: seconds that clients may keep a file without asking; None says nothing.
            index: what a path that ends with a slash means.
            hidden: serve names that begin with a dot too (`.well-known` is served always).
            policy: its rules; what it leaves open is inherited.
            name: for listings.

        Raises:
            BadSettings: there is no such folder.
        """
        folder = Files(directory, max_age=max_age, index=index, hidden=hidden)
        route = self.get(
            f"{path.rstrip('/')}/{{rest:path}}", policy=policy, name=name, include_in_schema=False
        )
        route(folder)

    def mount(
        self, path: str, app: Asgi, *, policy: Policy | None = None, name: str | None = None
    ) -> None:
        """Serves an ASGI application below `path`: its requests, WebSockets and lifespan.

        `scope["root_path"]` is `path` with its prefixes, as the ASGI specification has it. Layers
        and dependencies of this router are in front of it; routes of our own win over it.

        Args:
            path: `/old`; `/` is everything that no route takes.
            app: `async app(scope, receive, send)`; an `App` too, though `include` costs less.
            policy: its rules; what it leaves open is inherited.
            name: for listings; the application's unless given.

        Raises:
            BadRoute: a path that cannot be served, or no application.
        """
        stem = path.rstrip("/")
        if not callable(app) or id(app) == id(self):
            raise BadRoute(f"mount({path!r}): takes an ASGI application, and not this one")
        mount = Mount(app)
        self._mounts.append(mount)
        for pattern in (f"{stem}/{{{REST}:path}}", *([stem] if stem else [])):
            called = name or mount.__name__
            answers = route_of(pattern, (ANY,), mount, 200, called)
            attends = route_of(pattern, (WEBSOCKET,), mount.attend, 200, called)
            attends = replace(attends, socket=Attendance(SocketSettings()))
            self._own += [
                replace(declared, policy=policy or Policy()) for declared in (answers, attends)
            ]

    def layer(self, layer: L) -> L:
        """Puts `layer` in front of every route of this router, inside those added before it.

        Raises:
            BadRoute: it is neither a function of the next handler nor an async generator.
        """
        check(layer)
        self._layers.append(layer)
        return layer

    def include(self, router: "Router", prefix: str = "") -> None:
        """Takes in every route of `router`, also those declared later, under `prefix`.

        Raises:
            BadRoute: a prefix without a slash at the front or with one at the end, or a circle.
        """
        _check_prefix(prefix)
        if self in router.family():
            raise BadRoute(f"include(prefix={prefix!r}): the router would include itself")
        self._included.append((prefix, router))

    def family(self) -> Iterator["Router"]:
        """This router and all that it includes."""
        yield self
        for _, router in self._included:
            yield from router.family()

    def declared(self, prefix: str = "") -> Iterator[Declared]:
        """Every route, with prefixes, policies and layers of the routers in between."""
        prefix += self._prefix
        for route in self._own:
            yield self._inherit(route, prefix)
        for inner, router in self._included:
            for route in router.declared(inner):
                yield self._inherit(route, prefix)

    def _inherit(self, route: Declared, prefix: str) -> Declared:
        return replace(
            route,
            path=prefix + route.path,
            pattern=parse(prefix + route.path or "/"),
            policy=route.policy.over(self.policy),
            slo=route.slo or self._slo if _is_asked_by_users(route) else route.slo,
            layers=(*(it for it in self._layers if not isinstance(it, Observer)), *route.layers),
            observers=(*(it for it in self._layers if isinstance(it, Observer)), *route.observers),
            dependencies=(*self._dependencies, *route.dependencies),
            described=replace(
                route.described, tags=tuple(dict.fromkeys((*self._tags, *route.described.tags)))
            ),
        )


def _is_asked_by_users(route: Declared) -> bool:
    """What only tools ask, such as `/metrics`, is not in the document either."""
    return route.socket is None and route.described.include_in_schema


def _dependencies(given: Iterable[Any]) -> tuple[Dependency, ...]:
    found = tuple(given)
    for item in found:
        if not isinstance(item, Dependency) or item.call is None:
            raise BadRoute(f"dependencies={item!r}: a list of Depends(function)")
    return found


def _check_prefix(prefix: str) -> None:
    if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
        raise BadRoute(f"prefix {prefix!r}: begins with a slash and ends without one")


def _settings(options: SocketOptions) -> SocketSettings:
    try:
        return SocketSettings(
            backpressure=options.get("backpressure", "wait"),
            unsent_bytes=options.get("unsent_bytes"),
            compress=options.get("compress", True),
        )
    except (ValueError, OverflowError) as error:
        raise BadSettings(str(error)) from error
