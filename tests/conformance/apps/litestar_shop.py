"""A Litestar application with one of everything that reaches the wire."""

from typing import Annotated

from litestar import Litestar, MediaType, Request, Response, WebSocket, get, route, websocket
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException
from litestar.params import Body
from litestar.response import File, Redirect, Stream


@get("/hello", media_type=MediaType.TEXT, cache_control=None)
async def hello() -> str:
    return "hello"


@get("/threaded", media_type=MediaType.TEXT, sync_to_thread=True)
def threaded() -> str:
    return "hello from a thread"


@route("/show/{rest:path}", http_method=["GET", "POST"], status_code=200)
async def show(request: Request, rest: str) -> dict:
    scope = request.scope
    names = ("http_version", "method", "path", "root_path", "scheme", "type")
    fields = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
    query = scope["query_string"].decode()
    return {name: scope[name] for name in names} | {"query": query, "headers": fields}


@route("/echo", http_method=["POST", "PUT", "PATCH", "DELETE"], status_code=200)
async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


@route("/upload", http_method=["POST"], status_code=201)
async def upload(
    data: Annotated[UploadFile, Body(media_type=RequestEncodingType.MULTI_PART)],
) -> Response:
    async def later() -> None: ...

    said = {"name": data.filename, "bytes": len(await data.read())}
    await data.close()
    return Response(said, background=BackgroundTask(later))


@get("/redirect", status_code=302)
async def redirect() -> Redirect:
    return Redirect("/hello?from=redirect")


@get("/cookies")
async def cookies(request: Request) -> Response:
    return Response(request.cookies, cookies=[Cookie("a", value="1", httponly=True), Cookie("b")])


@get("/stream")
async def stream() -> Stream:
    async def pieces():
        for number in range(3):
            yield f"piece {number}\n"

    return Stream(pieces(), media_type=MediaType.TEXT)


@get("/fails")
async def fails() -> None:
    raise ValueError("secret")


@get("/denied")
async def denied() -> None:
    raise NotAuthorizedException("who are you?")


@get("/large", media_type="application/octet-stream")
async def large() -> bytes:
    return bytes(range(256)) * 4096


@get("/file")
async def file() -> File:
    return File(__file__, filename="shop.py")


@get("/status/{code:int}")
async def status(code: int) -> Response:
    return Response(None if code in (204, 304) else b"x", status_code=code)


@websocket("/ws")
async def chat(socket: WebSocket) -> None:
    if "refuse" in socket.query_params:
        raise NotAuthorizedException("no")
    offered = socket.scope["subprotocols"]
    await socket.accept(subprotocols=offered[-1] if offered else None)
    while (text := await socket.receive_text()) != "bye":
        await socket.send_text(text)
        await socket.send_bytes(text.encode())
    await socket.close(4001, "as asked")


HANDLERS = [hello, threaded, show, echo, upload, redirect, cookies, stream, fails, denied, large]
app = Litestar([*HANDLERS, file, status, chat], openapi_config=None, logging_config=None)
