"""Plain RSGI, granian's own interface: the fastest that granian offers."""

import asyncio
from urllib.parse import parse_qsl

import msgspec

from benchmarks.peers.python.shop import BLOB, Item, decode_order, encode, redis

JSON = [("content-type", "application/json")]
OCTETS = [("content-type", "application/octet-stream")]
store = None


async def app(scope, protocol):
    """Routes by path; parameters by the standard library, bodies by msgspec."""
    path = scope.path
    if path == "/":
        protocol.response_bytes(200, JSON, encode({"msg": "ok"}))
    elif path.startswith("/items/"):
        query = dict(parse_qsl(scope.query_string))
        item = Item(int(path[7:]), query["full"] == "true", int(query["limit"]))
        protocol.response_bytes(200, JSON, encode(item))
    elif path == "/orders":
        try:
            protocol.response_bytes(200, JSON, encode(decode_order(await protocol())))
        except msgspec.ValidationError as error:
            protocol.response_str(422, [("content-type", "text/plain")], str(error))
    elif path == "/blob":
        protocol.response_bytes(200, OCTETS, BLOB)
    elif path == "/yield":
        await asyncio.sleep(0)
        protocol.response_bytes(200, JSON, encode({"msg": "ok"}))
    elif path == "/redis":
        protocol.response_bytes(200, JSON, encode({"msg": await _stored()}))
    else:
        protocol.response_empty(404, [])


async def _stored():
    global store
    store = store or redis()
    return (await store.get("msg")).decode()
