"""Plain ASGI, no framework: the least that granian's ASGI and uvicorn can be given to do."""

import asyncio
from urllib.parse import parse_qsl

import msgspec

from benchmarks.peers.python.shop import BLOB, Item, decode_order, encode, redis

store = None


async def app(scope, receive, send):
    """Routes by path; parameters by the standard library, bodies by msgspec."""
    if scope["type"] != "http":
        raise RuntimeError(f"no {scope['type']} here")
    status, kind, body = await _answer(scope, receive)
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(scope, receive):
    path = scope["path"]
    if path == "/":
        return 200, b"application/json", encode({"msg": "ok"})
    if path.startswith("/items/"):
        query = dict(parse_qsl(scope["query_string"].decode()))
        item = Item(int(path[7:]), query["full"] == "true", int(query["limit"]))
        return 200, b"application/json", encode(item)
    if path == "/orders":
        try:
            return 200, b"application/json", encode(decode_order(await _body(receive)))
        except msgspec.ValidationError as error:
            return 422, b"text/plain", str(error).encode()
    if path == "/blob":
        return 200, b"application/octet-stream", BLOB
    if path == "/yield":
        await asyncio.sleep(0)
        return 200, b"application/json", encode({"msg": "ok"})
    if path == "/redis":
        return 200, b"application/json", encode({"msg": await _stored()})
    return 404, b"text/plain", b"nothing here"


async def _body(receive):
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


async def _stored():
    global store
    store = store or redis()
    return (await store.get("msg")).decode()
