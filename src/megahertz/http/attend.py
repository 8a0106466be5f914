"""A declared WebSocket route as the engine calls it.

The opening request goes through the same parts as any other: rate limit, bulkhead, layers,
dependencies, parameters. Layers stand around the handler, and those that are generators end with
the socket; one that answers by itself denies the handshake.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from megahertz.engine import Answer, Callbacks, Exchange, Route, Socket
from megahertz.errors import BadRoute, RemoteProtocolError, WebSocketDisconnect
from megahertz.http.bind import compile_binder
from megahertz.http.declared import Declared
from megahertz.http.depends import Dependencies, depending
from megahertz.http.endpoint import Surroundings, governed, guarded, plan_of
from megahertz.http.ends import Ends
from megahertz.http.layers import begun, lasts
from megahertz.http.problems import report
from megahertz.http.request import Place
from megahertz.http.response import Response
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
    plan = plan_of(declared, place, around)
    call = _bound(declared, place, around, plan)
    lasting = plan.lasting or any(map(lasts, declared.layers))
    attend = begun(_attended(call, declared, socket, place, lasting), declared.layers)
    attend = _lasting(attend) if lasting else attend

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
        gate=around.gates.of(declared.label, declared.policy, params=place.names, socket=True),
        handler=declared.handler,
    )


def _bound(declared: Declared, place: Place, around: Surroundings, plan: Dependencies) -> Attend:
    """The handler with its parameters."""
    signature = read(declared.handler, place.names, declared.where, whole=True)
    call = None
    if declared.depends(signature):
        plan.lay(declared.dependencies)
        call = depending(declared.handler, signature, plan, around.threads)
    if plan.background or signature.has("background"):
        raise BadRoute(
            f"{declared.where}: a WebSocket has no answer that BackgroundTasks are after"
        )
    if call is not None:
        return call
    return compile_binder(
        declared.handler,
        signature,
        place,
        where=declared.where,
        rest=declared.pattern.rest,
        given=True,
    )


def _lasting(attend: Attend) -> Attend:
    """What has begun ends with the socket: here, or where its callbacks hear of the end."""

    async def attended(websocket: WebSocket) -> Any:
        websocket._ends = ends = Ends()
        try:
            answer = await attend(websocket)
        except BaseException as error:
            await ends.close(error)
        else:
            ends.answer = answer
            if not websocket.forgotten:
                await ends.close()
            return answer

    return attended


def _ending(closed: Callable[[WebSocket, int, str], Any]) -> Callable[[WebSocket, int, str], Any]:
    async def ended(websocket: WebSocket, code: int, reason: str) -> None:
        async with websocket._ends:
            result = closed(websocket, code, reason)
            if inspect.isawaitable(result):
                await result

    return ended


def _attended(
    call: Attend, declared: Declared, socket: Attendance, place: Place, lasting: bool
) -> Attend:
    callbacks = None if socket.received is None else _callbacks(declared, socket, place, lasting)

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


def _callbacks(declared: Declared, socket: Attendance, place: Place, lasting: bool) -> Callbacks:
    def make(handle: Socket) -> WebSocket:
        return WebSocket.again(handle, place, socket.settings)

    def failed(handle: Socket, error: BaseException) -> None:
        if not isinstance(error, WebSocketDisconnect):
            report(error, declared.where)

    assert socket.received is not None
    assert socket.closed is not None
    closed = _ending(socket.closed) if lasting else socket.closed
    return Callbacks(make, socket.received, closed, failed)
