"""Endpoints that say of what calls they are made: the engine makes those itself."""

import asyncio

import msgspec
import pytest

from megahertz.errors import HTTPError

POST = "POST / HTTP/1.1\r\nHost: test\r\n{}\r\n"


class Order(msgspec.Struct):
    sku: int


ORDER = msgspec.json.Decoder(Order).decode


def typed(handler, decode=ORDER):
    """An endpoint, and the exchanges that it was called with."""
    seen = []

    def endpoint(exchange):
        seen.append(exchange)
        try:
            order = decode(exchange.body)
        except msgspec.ValidationError as error:
            raise HTTPError(422, str(error)) from None
        return handler(order)

    endpoint.decoded = decode, handler
    return endpoint, seen


async def post(peer, body, *, chunked=False):
    fields = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {len(body)}\r\n"
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    await peer.send(POST.format(fields).encode() + framed)
    return await peer.reply()


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_a_good_body_needs_no_exchange(serve, chunked):
    async def double(order):
        return {"sku": order.sku * 2}

    endpoint, seen = typed(double)
    async with serve({"POST /": endpoint}) as site:
        reply = await post(await site.peer(), b'{"sku":4}', chunked=chunked)
    assert (reply.status, reply.body, seen) == (200, b'{"sku":8}', [])


async def test_what_cannot_be_decoded_is_the_endpoints(serve):
    async def never(order):
        raise AssertionError("called with a bad body")

    endpoint, seen = typed(never)
    async with serve({"POST /": endpoint}) as site:
        peer = await site.peer()
        for body in (b'{"sku":"four"}', b"{}"):
            reply = await post(peer, body)
            assert (reply.status, reply.body[:9]) == (422, b"HTTPError")
        assert len(seen) == 2


async def test_a_handler_that_waits_or_raises_is_as_any_other(serve):
    async def slow(order):
        await asyncio.sleep(0)
        if order.sku == 0:
            raise HTTPError(409, "sold out")
        return order

    endpoint, seen = typed(slow)
    async with serve({"POST /": endpoint}) as site:
        peer = await site.peer()
        assert (await post(peer, b'{"sku":1}')).body == b'{"sku":1}'
        assert (await post(peer, b'{"sku":0}')).status == 409
        assert [type(error) for error in site.service.failures] == [HTTPError]
    assert seen == []


async def test_what_is_no_error_of_a_bodys_is_not_swallowed(serve):
    def interrupted(body):
        raise asyncio.CancelledError

    async def never(order):
        raise AssertionError("not decoded")

    endpoint, seen = typed(never, interrupted)
    async with serve({"POST /": endpoint}) as site:
        assert (await post(await site.peer(), b"{}")).status == 500
    assert seen == []


async def test_an_endpoint_that_says_it_wrongly_is_refused(serve):
    async def hello(exchange):
        return None

    hello.decoded = "twice"
    with pytest.raises((TypeError, ValueError)):
        async with serve({"POST /": hello}):
            pass
