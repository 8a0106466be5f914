"""Bodies in pieces, both ways."""

import asyncio
import gc

import pytest

from megahertz.context import deadline
from megahertz.errors import DeadlineExceeded, LocalProtocolError, ReadError

from .origin import OK, peered, turns

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def begun(peer, origin, pool, **options):
    """An answer whose head has come, and the request."""
    sent = asyncio.ensure_future(pool.send(origin, "GET", "/", stream=True, **options))
    asked = await peer.heard.get()
    await asked.say(HEAD)
    return await sent, asked


async def test_pieces_come_as_they_are_sent():
    async with peered() as (peer, origin, pool):
        answer, asked = await begun(peer, origin, pool)
        with pytest.raises(RuntimeError):
            _ = answer.body
        await asked.say(b"3\r\nabc\r\n")
        assert await anext(answer) == b"abc"
        waiting = asyncio.ensure_future(anext(answer))
        await turns()
        with pytest.raises(RuntimeError, match="somebody else"):
            await answer.__anext__()
        await asked.say(b"2\r\nde\r\n")
        assert await waiting == b"de"
        await asked.say(b"0\r\nX-T: 1\r\n\r\n")
        assert [piece async for piece in answer] == []
        assert answer.trailers == [("x-t", "1")]
        await answer.aclose()
        assert pool.statistics().idle == 1


async def test_what_is_not_read_makes_the_server_wait():
    async with peered() as (peer, origin, pool):
        size = 64 * 1024 * 1024
        sent = asyncio.ensure_future(pool.send(origin, "GET", "/", stream=True))
        asked = await peer.heard.get()
        asked.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        answer = await sent
        asked.writer.write(bytes(size))
        seen = -1
        while pool.statistics().bytes_in != seen:
            seen = pool.statistics().bytes_in
            await turns(50)
        assert seen < size // 2
        assert sum([len(piece) async for piece in answer]) == size
        assert pool.statistics().idle == 1


@pytest.mark.parametrize("how", ["aclose", "drop", "cancel"])
async def test_who_reads_no_more_frees_the_connection(how):
    async with peered() as (peer, origin, pool):
        answer, asked = await begun(peer, origin, pool)
        await asked.say(b"3\r\nabc\r\n")
        if how == "aclose":
            await answer.aclose()
        elif how == "cancel":
            reader = asyncio.ensure_future(everything(answer))
            await turns()
            reader.cancel()
            await asyncio.wait([reader])
            del reader
        del answer
        gc.collect()
        assert pool.statistics().open == 0


async def everything(answer):
    return [piece async for piece in answer]


async def test_an_answer_cut_short_says_so_behind_what_came():
    async with peered() as (peer, origin, pool):
        answer, asked = await begun(peer, origin, pool)
        await asked.say(b"3\r\nabc\r\n")
        await asked.cut()
        assert await anext(answer) == b"abc"
        for _ in range(2):
            with pytest.raises(ReadError):
                await anext(answer)


async def test_a_stream_ends_with_the_deadline_and_not_with_the_timeout():
    async with peered() as (peer, origin, pool):
        answer, _ = await begun(peer, origin, pool, timeout=0.02)
        waiting = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0.03)
        assert not waiting.done()
        await answer.aclose()
        waiting.cancel()
        with pytest.raises(DeadlineExceeded):
            async with deadline(0.02):
                answer, _ = await begun(peer, origin, pool)
                await anext(answer)


async def pieces(*all_of_them):
    for piece in all_of_them:
        yield piece


async def test_a_body_leaves_in_pieces():
    async with peered() as (peer, origin, pool):
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/", (), pieces(b"ab", b"", b"c")))
        asked = await peer.heard.get()
        assert (asked.body, asked.fields["transfer-encoding"]) == (b"abc", "chunked")
        await asked.say(OK)
        assert (await sent).status == 200 and pool.statistics().idle == 1
        given = [("Content-Length", "3")]
        sent = asyncio.ensure_future(pool.send(origin, "PUT", "/", given, pieces(b"ab", b"c")))
        asked = await peer.heard.get()
        assert (asked.body, asked.fields.get("transfer-encoding")) == (b"abc", None)
        await asked.say(OK)
        await sent


@pytest.mark.parametrize("body", [(b"ab", b"cd"), (b"a",)])
async def test_a_body_of_another_length_than_was_said_is_an_error(body):
    async with peered() as (_, origin, pool):
        with pytest.raises(LocalProtocolError):
            await pool.send(origin, "POST", "/", [("content-length", "3")], pieces(*body))
        assert pool.statistics().open == pool.statistics().idle


async def test_what_a_body_raises_is_what_the_caller_sees():
    async def broken():
        yield b"a"
        raise KeyError("mine")

    async with peered() as (_, origin, pool):
        with pytest.raises(KeyError, match="mine"):
            await pool.send(origin, "POST", "/", (), broken())
        assert pool.statistics().open == pool.statistics().idle


async def test_a_body_that_breaks_behind_the_head_ends_the_answer_too():
    go = asyncio.Event()

    async def broken():
        yield b"a"
        await go.wait()
        raise KeyError("mine")

    async with peered() as (peer, origin, pool):
        peer.whole = False
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/", (), broken(), stream=True))
        asked = await peer.heard.get()
        await asked.say(HEAD)
        answer = await sent
        feeding = next(iter(pool._tasks))
        go.set()
        with pytest.raises(ReadError, match="body"):
            await anext(answer)
        with pytest.raises(KeyError):
            await feeding
        assert pool.statistics().open == 0


async def test_a_body_waits_for_who_does_not_read():
    made = 0

    async def endless():
        nonlocal made
        while True:
            made += 1
            yield bytes(64 * 1024)

    async with peered() as (peer, origin, pool):
        peer.whole = False
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/", (), endless()))
        asked = await peer.heard.get()
        asked.writer.transport.pause_reading()
        seen = -1
        while made != seen:
            seen = made
            await turns(50)
        assert made < 1000
        await asked.say(b"HTTP/1.1 413 Too Much\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        assert (await sent).status == 413
        assert pool.statistics().open == 0


async def test_who_stops_sending_frees_the_connection_and_ends_the_body():
    ended = asyncio.Event()

    async def slow():
        try:
            yield b"a"
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    async with peered() as (peer, origin, pool):
        peer.whole = False
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/", (), slow()))
        await peer.heard.get()
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
        await ended.wait()
        assert pool.statistics().open == 0


async def test_an_answer_may_come_while_its_question_is_still_being_put():
    more = asyncio.Queue()

    async def question():
        while (piece := await more.get()) is not None:
            yield piece

    async with peered() as (peer, origin, pool):
        peer.whole = False
        sent = asyncio.ensure_future(pool.send(origin, "POST", "/", (), question(), stream=True))
        asked = await peer.heard.get()
        await asked.say(HEAD)
        answer = await sent
        for word in (b"a", b"b"):
            more.put_nowait(word)
            await asked.say(b"1\r\n%b\r\n" % word)
            assert await anext(answer) == word
        more.put_nowait(None)
        await turns()
        await asked.say(b"0\r\n\r\n")
        assert await everything(answer) == []
        while pool.statistics().open != pool.statistics().idle:
            await turns()
