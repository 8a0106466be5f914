"""A Starlette application with one of everything that reaches the wire."""

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute


async def hello(request):
    return PlainTextResponse("hello")


def threaded(request):
    return PlainTextResponse("hello from a thread")


async def show(request):
    scope = request.scope
    names = ("http_version", "method", "path", "root_path", "scheme", "type")
    said = {name: scope[name] for name in names}
    raw = {name: scope[name].decode() for name in ("raw_path", "query_string")}
    fields = [[name.decode(), value.decode("latin-1")] for name, value in request.headers.raw]
    return JSONResponse(said | raw | {"headers": fields})


async def echo(request):
    return Response(await request.body(), media_type=request.headers.get("content-type"))


async def upload(request):
    sizes = [len(piece) async for piece in request.stream()]
    return JSONResponse({"bytes": sum(sizes)}, background=BackgroundTask(hello, None))


async def redirect(request):
    return RedirectResponse("/hello?from=redirect")


async def cookies(request):
    response = JSONResponse(request.cookies)
    response.set_cookie("a", "1", httponly=True, samesite="strict", secure=True)
    response.set_cookie("b", "2", max_age=60)
    response.delete_cookie("c")
    return response


async def stream(request):
    async def pieces():
        for number in range(3):
            yield f"piece {number}\n"

    return StreamingResponse(pieces(), media_type="text/plain")


async def breaks(request):
    async def pieces():
        yield b"half"
        raise ValueError("in the middle")

    return StreamingResponse(pieces())


async def fails(request):
    raise ValueError("secret")


async def large(request):
    return Response(bytes(range(256)) * 4096)


async def file(request):
    return FileResponse(__file__, filename="shop.py")


async def status(request):
    code = request.path_params["code"]
    return Response(b"" if code in (204, 304) else b"x", code, {"x-code": str(code)})


async def chat(websocket):
    if "deny" in websocket.query_params:
        await websocket.send_denial_response(PlainTextResponse("no", 401, {"x-why": "because"}))
        return
    if "refuse" in websocket.query_params:
        return await websocket.close(1008)
    offered = websocket.scope["subprotocols"]
    await websocket.accept(offered[-1] if offered else None, [(b"x-chat", b"1")])
    async for text in websocket.iter_text():
        if text == "bye":
            return await websocket.close(4001, "as asked")
        await websocket.send_text(text)
        await websocket.send_bytes(text.encode())


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response


app = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/threaded", threaded),
        Route("/show/{rest:path}", show, methods=["GET", "POST"]),
        Route("/echo", echo, methods=["POST", "PUT", "PATCH", "DELETE"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/redirect", redirect),
        Route("/cookies", cookies),
        Route("/stream", stream),
        Route("/breaks", breaks),
        Route("/fails", fails),
        Route("/large", large),
        Route("/file", file),
        Route("/status/{code:int}", status),
        WebSocketRoute("/ws", chat),
    ],
    middleware=[Middleware(Stamp), Middleware(GZipMiddleware, minimum_size=500)],
)
