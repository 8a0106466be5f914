"""Starlette in its own idiom: requests in, `JSONResponse` out."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"msg": "ok"})


async def item(request: Request) -> JSONResponse:
    query = request.query_params
    full, limit = query["full"] == "true", int(query["limit"])
    return JSONResponse({"sku": request.path_params["sku"], "full": full, "limit": limit})


app = Starlette(routes=[Route("/", hello), Route("/items/{sku:int}", item)])
