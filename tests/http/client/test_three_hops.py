"""A deadline and a trace over three services: real servers, real connections, one loop."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from megahertz import App, Client, Policy, cancel_reason, deadline
from megahertz.context import BUDGET_HEADER, EXPIRED, GONE
from megahertz.engine import Server
from megahertz.errors import DeadlineExceeded
from megahertz.observe import Tracing, inject

PATIENCE = 60


class Hop:
    """A service that asks the next one, and then waits for ever."""

    def __init__(self, tracing, policy, following=None):
        self.left, self.ends, self.baggage = [], [], []
        self.app = App(policy=policy, layers=[tracing])
        self.ended = asyncio.Event()

        @self.app.get("/{rest}")
        async def handler(rest: str) -> str:
            self.left.append(deadline())
            headers: dict[str, str] = {}
            inject(headers)
            self.baggage.append(headers.get("baggage"))
            try:
                if following is not None:
                    await following()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.ends.append(cancel_reason())
                raise
            except DeadlineExceeded:  # the call in it was told first, of the same deadline
                self.ends.append(EXPIRED)
                raise
            finally:
                self.ended.set()
            return rest


async def serving(stack, hop):
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(hop.app, [sock])
    await stack.enter_async_context(server)
    stack.push_async_callback(server.stop, 1.0, spread=0.0)
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


async def through_all_three(tracings):
    """One request; gives the hops and its status."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client())
        third = Hop(tracings[2], Policy(budget=BUDGET_HEADER))
        there = await serving(stack, third)
        second = Hop(tracings[1], Policy(deadline=30.0), lambda: client.get(f"{there}/c"))
        between = await serving(stack, second)
        first = Hop(tracings[0], Policy(deadline=0.3), lambda: client.get(f"{between}/b"))
        here = await serving(stack, first)
        outside = await stack.enter_async_context(Client(timeout=PATIENCE))
        response = await outside.get(f"{here}/a", headers={"baggage": "tenant=7"})
        hops = [first, second, third]
        async with asyncio.timeout(PATIENCE):
            for hop in hops:
                if hop.left:
                    await hop.ended.wait()
    return hops, response.status_code


@pytest.fixture
def met(monkeypatch):
    """All three, and what they tell; on a machine that does something else for 300 ms the third
    is never asked: then again."""
    for _ in range(20):
        exporter = InMemorySpanExporter()
        tracings = [Tracing(1.0, exporter=exporter, service=f"hop {n}") for n in (1, 2, 3)]
        monkeypatch.setattr(trace, "get_tracer", tracings[0].provider.get_tracer)
        hops, status = asyncio.run(through_all_three(tracings))
        for tracing in tracings:
            tracing.provider.force_flush()
        if all(hop.left and hop.left[0] for hop in hops):
            return hops, status, exporter.get_finished_spans()
    raise AssertionError("three hops took 300 ms, twenty times")


def test_the_third_knows_what_is_left_and_each_is_cancelled_once(met):
    hops, status, _ = met
    first, second, third = (hop.left[0] for hop in hops)

    assert status == 504
    assert 0 < third < second < first <= 0.3
    assert [len(hop.left) for hop in hops] == [1, 1, 1]
    assert [len(hop.ends) for hop in hops] == [1, 1, 1]
    assert hops[0].ends == [EXPIRED]
    # Behind it they see their own time end, or their caller leave: whichever is seen first.
    assert {*hops[1].ends, *hops[2].ends} <= {EXPIRED, GONE}


def test_baggage_goes_all_the_way(met):
    assert [hop.baggage for hop in met[0]] == [["tenant=7"]] * 3


def test_the_trace_shows_all_of_it(met):
    """Server, client, server, client, server: each the child of the one before."""
    spans = met[2]
    ids = {span.context.span_id for span in spans}
    (last,) = (span for span in spans if span.parent is None or span.parent.span_id not in ids)
    chain = [last]
    while following := [
        it for it in spans if it.parent and it.parent.span_id == last.context.span_id
    ]:
        (last,) = following
        chain.append(last)
    served = [span for span in chain if span.kind is SpanKind.SERVER]

    assert len({span.context.trace_id for span in spans}) == 1
    assert len(chain) == len(spans) == 5
    assert [span.kind for span in chain] == [
        *[SpanKind.SERVER, SpanKind.CLIENT] * 2,
        SpanKind.SERVER,
    ]
    assert [it.resource.attributes["service.name"] for it in served] == ["hop 1", "hop 2", "hop 3"]
    assert [span.name for span in served] == ["GET /{rest}"] * 3
