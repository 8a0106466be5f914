"""A declared WebSocket route as the engine calls it.

The opening request goes through the same parts as any other: rate limit, bulkhead, layers,
dependencies, parameters. Layers stand around the handler for as long as the socket lives; one
that answers by itself denies the handshake.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from megahertz.engine import Answer, Callbacks, Exchange, Route, Socket
from megahertz.errors import RemoteProtocolError, WebSocketDisconnect
from megahertz.http.bind import compile_binder
from megahertz.http.endpoint import Surroundings, depending, governed, guarded
from megahertz.http.problems import report
from megahertz.http.request import Place
from megahertz.http.response import Response
from megahertz.http.routes import Declared
from megahertz.http.signature import is_async, read
from megahertz.http.websocket import Attendance, WebSocket

INVALID = 1007
"""The close code of a message whose content is not what it should be."""

Attend = Callable[[Any], Awaitable[Any]]


def compile_socket(declared: Declared, socket: Attendance, around: Surroundings) -> Route:
    """The route for the engine.

    Raises:
        BadRoute: the signature does not fit the pattern with its prefixes.
    """
    place = Place(around.app, declared.pattern.names, around.seed)
    attend = _attended(_bound(declared, place, around), declared, socket, place)
    for layer in reversed(declared.layers):
        attend = layer(attend)

    def endpoint(exchange: Exchange) -> Awaitable[Any]:
        return attend(WebSocket(exchange, place, socket.settings))

    outer = governed(endpoint, False, declared, place)
    if any(is_async(handler) for handler in around.errors.values()):
        outer = guarded(outer, around, place)
    return Route(
        methods=declared.methods,
        pattern=declared.pattern.text,
        endpoint=outer,
        deadline=declared.policy.deadline,
    )


def _bound(declared: Declared, place: Place, around: Surroundings) -> Attend:
    """The handler with its parameters."""
    signature = read(declared.handler, place.names, declared.where, whole=True)
    if any(item.source == "depends" for item in signature.parameters):
        return depending(declared, signature, place, around)
    return compile_binder(
        declared.handler,
        signature,
        place,
        where=declared.where,
        rest=declared.pattern.rest,
        given=True,
    )


def _attended(call: Attend, declared: Declared, socket: Attendance, place: Place) -> Attend:
    callbacks = None if socket.received is None else _callbacks(declared, socket, place)

    async def attend(websocket: WebSocket) -> Answer:
        try:
            await call(websocket)
            if callbacks is not None and not websocket.denied:
                if not websocket.accepted:
                    await websocket.accept()
                websocket.forget().attend(callbacks)
        except WebSocketDisconnect:
            if not websocket.accepted:
                raise
        except RemoteProtocolError as error:
            if not websocket.accepted:
                raise
            await websocket.close(INVALID, str(error))
        return ACCEPTED if websocket.accepted else websocket.conclude()

    return attend


ACCEPTED = Response()
"""What layers see of a request that became a socket; it is not sent."""


def _callbacks(declared: Declared, socket: Attendance, place: Place) -> Callbacks:
    def make(handle: Socket) -> WebSocket:
        return WebSocket.again(handle, place, socket.settings)

    def failed(handle: Socket, error: BaseException) -> None:
        if not isinstance(error, WebSocketDisconnect):
            report(error, declared.where)

    assert socket.received is not None
    assert socket.closed is not None
    return Callbacks(make, socket.received, socket.closed, failed)
