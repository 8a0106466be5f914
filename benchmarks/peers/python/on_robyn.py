"""Robyn in its own idiom; typed bodies by msgspec, as it has no types of its own.

Usage: python -m benchmarks.peers.python.on_robyn PORT
"""

import asyncio
import sys

import msgspec
from robyn import Headers, Request, Response, Robyn

from benchmarks.peers.python.shop import BLOB, Item, decode_order, encode

JSON = Headers({"content-type": "application/json"})
OCTETS = Headers({"content-type": "application/octet-stream"})

app = Robyn(__file__)


@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}


@app.get("/items/:sku")
async def item(request: Request) -> Response:
    query = request.query_params
    full, limit = query.get("full", "") == "true", int(query.get("limit", "10"))
    return Response(200, JSON, encode(Item(int(request.path_params["sku"]), full, limit)))


@app.post("/orders")
async def order(request: Request) -> Response:
    try:
        return Response(200, JSON, encode(decode_order(request.body)))
    except msgspec.ValidationError as error:
        return Response(422, JSON, encode(str(error)))


@app.get("/blob")
async def blob() -> Response:
    return Response(200, OCTETS, BLOB)


@app.get("/yield")
async def yielding() -> dict[str, str]:
    await asyncio.sleep(0)
    return {"msg": "ok"}


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(sys.argv.pop(1)))
