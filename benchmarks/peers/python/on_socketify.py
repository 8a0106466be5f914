"""socketify (uWebSockets) in its own idiom; typed bodies by msgspec.

Usage: python -m benchmarks.peers.python.on_socketify PORT
"""

import asyncio
import sys

import msgspec
from socketify import App, AppListenOptions

from benchmarks.peers.python.shop import BLOB, Item, decode_order, encode

JSON, OCTETS = b"application/json", b"application/octet-stream"


def hello(res, req):
    res.write_header(b"content-type", JSON).end(encode({"msg": "ok"}))


def item(res, req):
    full, limit = req.get_query("full") == "true", int(req.get_query("limit"))
    found = Item(int(req.get_parameter(0)), full, limit)
    res.write_header(b"content-type", JSON).end(encode(found))


async def order(res, req):
    body = await res.get_data()
    try:
        answer = encode(decode_order(body.getvalue()))
    except msgspec.ValidationError as error:
        return res.write_status(422).end(str(error))
    return res.write_header(b"content-type", JSON).end(answer)


def blob(res, req):
    res.write_header(b"content-type", OCTETS).end(BLOB)


async def yielding(res, req):
    await asyncio.sleep(0)
    res.write_header(b"content-type", JSON).end(encode({"msg": "ok"}))


app = App()
app.get("/", hello)
app.get("/items/:sku", item)
app.post("/orders", order)
app.get("/blob", blob)
app.get("/yield", yielding)

if __name__ == "__main__":
    app.listen(AppListenOptions(port=int(sys.argv[1]), host="127.0.0.1"), lambda _: None)
    app.run()
