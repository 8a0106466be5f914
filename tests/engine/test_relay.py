"""What `Exchange.relay` takes, and when."""

import asyncio
import gc

import pytest

from megahertz.errors import ReadError

from .origin import peered

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def begun(peer, origin, pool, said=HEAD):
    sent = asyncio.ensure_future(pool.send(origin, "GET", "/", stream=True))
    asked = await peer.heard.get()
    await asked.say(said)
    return await sent, asked


async def test_an_answer_is_passed_on_once_and_by_nobody_else(serve):
    async with peered() as (there, origin, pool):
        answer, asked = await begun(there, origin, pool)
        told = asyncio.Event()

        async def relay(exchange):
            with pytest.raises(RuntimeError, match="not begun"):
                exchange.relay(answer, None)
            exchange.start(200, [(b"content-length", b"2")])
            reply = exchange.relay(answer, None)
            with pytest.raises(RuntimeError, match="somebody else"):
                exchange.relay(answer, None)
            with pytest.raises(RuntimeError, match="somebody else"):
                await anext(answer)
            told.set()
            await reply
            assert exchange.closed

        async with serve({"GET /": relay}) as site:
            peer = await site.peer()
            asking = asyncio.ensure_future(peer.get("/"))
            await told.wait()
            await asked.say(b"ok")
            assert (await asking).body == b"ok"
            assert site.service.failures == []


async def test_what_is_read_already_or_closed_or_whole_is_not_passed_on(serve):
    async with peered() as (there, origin, pool):
        read, _ = await begun(there, origin, pool)
        reading = asyncio.ensure_future(anext(read))
        await asyncio.sleep(0)
        closed, _ = await begun(there, origin, pool)
        await closed.aclose()
        there.answers = HEAD + b"ok"
        whole = await pool.send(origin, "GET", "/")

        async def relay(exchange):
            exchange.start(200, [])
            for answer, match in ((read, "somebody"), (closed, "not read"), (whole, "not read")):
                with pytest.raises(RuntimeError, match=match):
                    exchange.relay(answer, None)
            exchange.write(b"done")
            exchange.end()

        async with serve({"GET /": relay}) as site:
            assert (await (await site.peer()).get("/")).body == b"done"
            assert site.service.failures == []
        reading.cancel()


async def test_what_came_before_is_passed_on_as_well(serve):
    async with peered() as (there, origin, pool):
        answer, asked = await begun(there, origin, pool, HEAD + b"o")

        async def relay(exchange):
            exchange.start(200, [])
            await exchange.relay(answer, 30.0)

        async with serve({"GET /": relay}) as site:
            asking = asyncio.ensure_future((await site.peer()).get("/"))
            await asked.say(b"k")
            assert (await asking).body == b"ok"
            await answer.aclose()
            assert pool.statistics().idle == 1


async def test_nobody_has_to_keep_the_answer_and_closing_it_is_told(serve):
    async with peered() as (there, origin, pool):
        answers, told = [], asyncio.Event()

        async def relay(exchange):
            exchange.start(200, [(b"content-length", b"2")])
            reply = exchange.relay(answers.pop(0), None)
            gc.collect()
            told.set()
            await reply

        async with serve({"GET /": relay}) as site:
            kept, _ = await begun(there, origin, pool)
            answer, asked = await begun(there, origin, pool)
            answers.append(answer)
            del answer
            peer = await site.peer()
            asking = asyncio.ensure_future(peer.get("/"))
            await told.wait()
            await asked.say(b"ok")
            assert (await asking).body == b"ok"
            answers.append(kept)
            told.clear()
            await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await told.wait()
            await kept.aclose()
            assert b"\r\n\r\n" in await peer.closed()
            assert [type(error) for error in site.service.failures] == [ReadError]
