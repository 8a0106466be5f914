"""Trace and deadline through real brokers, and through gRPC."""

import asyncio

import grpc.aio
import nats
import pytest

from megahertz.backends import Redis
from megahertz.context import deadline
from megahertz.errors import DeadlineExceeded
from megahertz.observe import continued, current, grpc_continued, grpc_options, inject
from tests.cluster import Nats

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CARRIED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "baggage": "user=7"}


@pytest.fixture(scope="module")
def nats_server():
    server = Nats()
    yield server
    server.stop()


def told(headers):
    """What a sender with a minute left writes."""
    with continued(CARRIED), deadline(60.0):
        inject(headers, deadline=True)
    return headers


def heard():
    """What is known inside, as a receiver has it."""
    found, left = current(), deadline()
    # gRPC rounds what it tells up, to a tenth of a second here.
    return found.trace_id, found.baggage, left is not None and 50 < left <= 61


async def test_through_a_stream_of_redis(redis_server):
    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        await redis.xadd("orders", told({"kind": "order"}))
        [(_, fields)] = await redis.xrange("orders")

    with continued(fields, deadline=True):
        assert heard() == (TRACE, "user=7", True)
    assert fields["kind"] == "order"


async def test_through_nats(nats_server):
    client = await nats.connect(nats_server.url)
    waiting = await client.subscribe("orders")
    await client.publish("orders", b"{}", headers=told({}))
    message = await waiting.next_msg(timeout=30)
    await client.close()

    with continued(message.headers, deadline=True):
        assert heard() == (TRACE, "user=7", True)


async def test_through_the_headers_that_clients_of_kafka_take():
    headers = told([("kind", b"order")])

    assert all(isinstance(name, str) and isinstance(value, bytes) for name, value in headers)
    with continued(headers, deadline=True):
        assert heard() == (TRACE, "user=7", True)


async def test_a_deadline_is_told_only_where_that_is_asked_for_and_there_is_one():
    headers = {}
    with continued(CARRIED):
        inject(headers, deadline=True)
        assert "x-mhz-deadline" not in headers
        with deadline(60.0):
            inject(headers)
    assert "x-mhz-deadline" not in headers
    with continued(told({})):
        assert deadline() is None


async def test_a_message_whose_time_is_over_is_not_taken_up():
    late = continued({"X-Mhz-Deadline": "1000"}, deadline=True)
    with pytest.raises(DeadlineExceeded, match="before it was taken up"), late:
        pytest.fail("it was taken up")


async def test_a_message_has_no_more_time_than_it_brought():
    headers = {}
    with deadline(0.05):
        inject(headers, deadline=True)
    with pytest.raises(DeadlineExceeded), continued(headers, deadline=True):
        await asyncio.Event().wait()


async def test_a_deadline_that_cannot_be_read_is_none():
    with continued({"x-mhz-deadline": "soon"}, deadline=True):
        assert deadline() is None


@pytest.fixture
def served():
    """A gRPC server with one method of octets; gives how to call it."""

    async def serve(handler):
        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(handler)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("shop.Orders", {"Get": method})]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    return serve


async def test_through_grpc(served):
    found = []

    async def get(request, context):
        with grpc_continued(context):
            found.append(current() and heard())
        return b""

    server, channel = await served(get)
    call = channel.unary_unary("/shop.Orders/Get")
    with continued(CARRIED), deadline(60.0):
        await call(b"", **grpc_options())
    await call(b"", **grpc_options())
    await channel.close()
    await server.stop(None)

    assert found == [(TRACE, "user=7", True), None]


async def test_a_call_over_grpc_ends_with_its_callers_time(served):
    ended = asyncio.Event()

    async def get(request, context):
        try:
            with grpc_continued(context):
                await asyncio.Event().wait()
        finally:
            ended.set()

    server, channel = await served(get)
    with pytest.raises(grpc.aio.AioRpcError) as told, deadline(5.0):
        await channel.unary_unary("/shop.Orders/Get")(b"", **{**grpc_options(), "timeout": 0.1})
    await ended.wait()
    await channel.close()
    await server.stop(None)

    assert told.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_handler_whose_time_is_up_says_so(served):
    async def get(request, context):
        with grpc_continued(context), deadline(0):
            await asyncio.Event().wait()

    server, channel = await served(get)
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await channel.unary_unary("/shop.Orders/Get")(b"")
    await channel.close()
    await server.stop(None)

    assert told.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_without_time_no_call_is_begun():
    with pytest.raises(DeadlineExceeded, match="no time is left"), deadline(0):
        grpc_options()
