"""The link against a server that says what the test wants."""

import asyncio
import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.engine import Reply, links
from megahertz.errors import (
    ConnectError,
    Overloaded,
    ReadError,
    ReplyError,
)

from .fake import faked


def bulk(octets: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(octets), octets)


async def test_commands_of_one_turn_leave_in_one_write():
    async with faked() as (fake, redis):
        ping = redis.ping()
        await fake.heard.get()
        await fake.say(b"+PONG\r\n")
        assert await ping
        waiting = [asyncio.ensure_future(redis.get(f"k{n}")) for n in range(50)]
        assert [await fake.heard.get() for _ in waiting][49] == [b"GET", b"k49"]
        assert fake.reads == [1, 50]
        await fake.say(b"".join(bulk(b"v%d" % n) for n in range(50)))
        assert await asyncio.gather(*waiting) == [b"v%d" % n for n in range(50)]


@pytest.mark.parametrize("gone", range(7))
async def test_who_stops_waiting_takes_no_reply_with_it(gone):
    """CVE-2023-28858: the reply of a cancelled command went to the next one."""
    async with faked() as (fake, redis):
        tasks = [asyncio.create_task(getter(redis, n)) for n in range(6)]
        for _ in tasks:
            await fake.heard.get()
        for cancelled in range(6):
            if cancelled != gone:
                tasks[cancelled].cancel()
        await fake.say(*(bulk(b"v%d" % n) for n in range(3)))
        if gone < 6:
            tasks[5 if gone != 5 else 0].cancel()
        await fake.say(*(bulk(b"v%d" % n) for n in range(3, 6)))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, result in enumerate(results):
            expected = b"v%d" % number if number == gone else asyncio.CancelledError
            assert result == expected or isinstance(result, asyncio.CancelledError)
        after = redis.get("after")
        await fake.heard.get()
        await fake.say(bulk(b"mine"))
        assert await after == b"mine"
        assert redis.statistics()["discarded"] >= 5


async def getter(redis, number):
    return await redis.get(f"k{number}")


async def test_cancelled_before_it_is_sent_it_is_answered_in_order_all_the_same():
    async with faked() as (fake, redis):
        first, second = redis.get("a"), redis.get("b")
        assert first.cancel() and not first.cancel()
        for _ in range(2):
            await fake.heard.get()
        await fake.say(bulk(b"one"), bulk(b"two"))
        assert await second == b"two"
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_reply_is_a_future_and_a_coroutine():
    async with faked() as (fake, redis):

        async def answered(awaitable):
            await fake.heard.get()
            await fake.say(bulk(b"x"))
            return await awaitable

        assert isinstance(redis.get("a"), Reply)
        await fake.heard.get()
        await fake.say(bulk(b"x"))
        assert await answered(asyncio.create_task(redis.get("a"))) == b"x"
        assert await answered(asyncio.ensure_future(redis.get("a"))) == b"x"
        assert await answered(asyncio.gather(redis.get("a"))) == [b"x"]
        assert await answered(asyncio.shield(redis.get("a"))) == b"x"
        assert await answered(asyncio.create_task(asyncio.wait_for(redis.get("a"), 10))) == b"x"
        async with asyncio.TaskGroup() as group:
            task = group.create_task(redis.get("a"))
            await fake.heard.get()
            await fake.say(bulk(b"x"))
        assert task.result() == b"x"


async def test_the_face_of_a_future():
    async with faked() as (fake, redis):
        reply, called = redis.get("a"), []
        with pytest.raises(asyncio.InvalidStateError):
            reply.result()
        with pytest.raises(asyncio.InvalidStateError):
            reply.exception()
        with pytest.raises(TypeError):
            reply.send(1)
        removed = lambda reply: called.append("removed")  # noqa: E731
        reply.add_done_callback(called.append)
        reply.add_done_callback(removed)
        assert reply.remove_done_callback(removed) == 1
        assert reply.get_loop() is asyncio.get_running_loop()
        await fake.heard.get()
        await fake.say(b"-ERR no\r\n")
        with pytest.raises(ReplyError, match="ERR no"):
            await reply
        assert called == [reply] and reply.done() and not reply.cancelled()
        assert isinstance(reply.exception(), ReplyError)
        reply.add_done_callback(called.append)
        await asyncio.sleep(0)
        assert called == [reply, reply]
        with pytest.raises(ValueError, match="mine"):
            reply.throw(ValueError("mine"))
        with pytest.raises(ValueError, match="mine"):
            reply.throw(ValueError, "mine")
        with pytest.raises(ZeroDivisionError):
            reply.throw(ZeroDivisionError)


async def test_two_may_wait_for_one_reply():
    async with faked() as (fake, redis):
        reply = redis.get("a")

        async def wait():
            return await reply

        both = asyncio.gather(wait(), wait())
        await fake.heard.get()
        await fake.say(bulk(b"x"))
        assert await both == [b"x", b"x"]


async def test_a_connection_cut_in_the_middle_of_a_reply():
    """What was read is asked again; what may have been done is not."""
    async with faked() as (fake, redis):
        tasks = [redis.get("a"), redis.set("b", 1), redis.get("c"), redis.incr("d")]
        for _ in tasks:
            await fake.heard.get()
        await fake.say(bulk(b"A") + b"+O")
        fake.cut()
        assert await tasks[0] == b"A"
        with pytest.raises(ReadError):
            await tasks[1]
        with pytest.raises(ReadError):
            await tasks[3]
        assert await fake.heard.get() == [b"GET", b"c"]
        await fake.say(bulk(b"C"))
        assert await tasks[2] == b"C"
        assert fake.connections == 2 and redis.statistics()["repeated"] == 1


async def test_half_a_pipelines_replies_are_no_replies():
    async with faked() as (fake, redis), redis.pipeline(transaction=False) as pipe:
        pipe.get("a").get("b")
        done = asyncio.create_task(pipe.execute())
        for _ in range(2):
            await fake.heard.get()
        await fake.say(bulk(b"A"))
        fake.cut()
        with pytest.raises(ReadError):
            await done


async def test_who_speaks_something_else_is_left():
    async with faked(retries=1) as (fake, redis):
        reply = redis.set("a", 1)
        await fake.heard.get()
        await fake.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(ReadError, match="not what Redis speaks"):
            await reply


async def test_too_much_waits():
    async with faked(count=3) as (fake, redis):
        waiting = [redis.get("a") for _ in range(3)]
        with pytest.raises(Overloaded, match="3 commands"):
            await redis.get("a")
        for _ in waiting:
            await fake.heard.get()
        await fake.say(bulk(b"x") * 3)
        assert await asyncio.gather(*waiting) == [b"x"] * 3
        assert redis.statistics()["refused"] == 1


async def test_too_many_octets_wait():
    async with faked(bytes=1000) as (_, redis):
        waiting = redis.set("a", b"x" * 2000)
        with pytest.raises(Overloaded, match="octets"):
            await redis.get("a")
        waiting.cancel()


async def test_no_reply_in_time_costs_its_waiter_not_the_order():
    async with faked() as (fake, redis):
        late = redis.execute("GET", "a", timeout=0.01)
        other = redis.get("b")
        with pytest.raises(ReadError, match="no reply in time"):
            await late
        await fake.heard.get()
        await fake.heard.get()
        await fake.say(bulk(b"A"), bulk(b"B"))
        assert await other == b"B"
        assert redis.statistics()["expired"] == 1 and fake.connections == 1


async def test_who_gave_up_before_there_was_a_connection_has_asked_nothing():
    async with faked(timeout=0.05) as (fake, redis):
        hello, fake.hello = fake.hello, b""
        late = redis.set("late", 1)
        with pytest.raises(ConnectError, match="no connection in time"):
            await late
        left = redis.set("left", 1)
        reply = redis.execute("SET", "in time", 1, timeout=30)
        left.cancel()
        with pytest.raises(ConnectError):
            await redis.set("later", 1)
        await fake.say(hello)
        assert await fake.heard.get() == [b"SET", b"in time", b"1"]
        await fake.say(b"+OK\r\n")
        assert await reply == b"OK"


async def test_a_server_that_has_fallen_silent_is_left():
    async with faked(timeout=0.2) as (fake, redis):
        ping = redis.ping()
        await fake.heard.get()
        await fake.say(b"+PONG\r\n")
        assert await ping
        with pytest.raises(ReadError):
            await redis.set("a", 1)
        reply = redis.get("b")
        while (await fake.heard.get())[1] != b"b":
            pass
        assert fake.connections == 2
        await fake.say(bulk(b"B"))
        assert await reply == b"B"


async def test_nobody_listens():
    async with faked(retries=1, timeout=5) as (_, redis):
        pass
    async with redis:
        with pytest.raises(ConnectError):
            await redis.get("a")
        with pytest.raises(ConnectError):
            await redis.set("a", 1)


async def test_a_large_value_goes_through_full_buffers():
    async with faked() as (fake, redis):
        value = bytes(range(256)) * 40_000
        reply = redis.set("a", value)
        assert (await fake.heard.get())[2] == value
        await fake.say(b"+OK\r\n")
        assert await reply
        reply = redis.get("a")
        await fake.heard.get()
        await fake.say(bulk(value))
        assert await reply == value


async def test_errors_of_conversion_are_the_waiters():
    async with faked() as (fake, redis):
        wrong, right = redis.incrbyfloat("a", 1.5), redis.get("b")
        assert await fake.heard.get() == [b"INCRBYFLOAT", b"a", b"1.5"]
        await fake.say(bulk(b"no number"), bulk(b"x"))
        with pytest.raises(ValueError, match="could not convert"):
            await wrong
        assert await right == b"x"


async def test_words_of_all_kinds():
    async with faked() as (fake, redis):
        words = (
            b"b",
            "ä",
            7,
            -1.5,
            10**30,
            bytearray(b"x"),
            memoryview(b"y"),
            IntLike(3),
            Text("t"),
        )
        reply = redis.execute(*words)
        heard = await fake.heard.get()
        assert heard == [b"b", "ä".encode(), b"7", b"-1.5", b"1%030d" % 0, b"x", b"y", b"3", b"t"]
        reply.cancel()
        for word in (None, True, object(), [1]):
            with pytest.raises(TypeError, match="Invalid input of type"):
                redis.set("a", word)
        assert redis.statistics()["waiting"] == 1


class IntLike(int):
    def __str__(self):
        return "not this"

    __repr__ = __str__


class Text(str):
    __slots__ = ()


async def test_what_is_forgotten_is_freed():
    async with faked() as (fake, redis):
        reply = redis.get("a")
        await fake.heard.get()
        await fake.say(bulk(b"x"))
        assert await reply == b"x"
        gone = weakref.ref(reply)
        del reply
        gc.collect()
        assert gone() is None


async def test_a_loop_has_one_poller():
    assert links() is links()
    with pytest.raises(RuntimeError):
        await asyncio.to_thread(links)


LEAVES = st.one_of(
    st.none().map(lambda _: (b"_\r\n", None)),
    st.integers(-(2**63), 2**63 - 1).map(lambda n: (b":%d\r\n" % n, n)),
    st.integers().map(lambda n: (b"(%d\r\n" % n, n)),
    st.booleans().map(lambda b: (b"#t\r\n" if b else b"#f\r\n", b)),
    st.floats(allow_nan=False).map(lambda f: (b",%s\r\n" % repr(f).encode(), f)),
    st.binary(max_size=40).map(lambda b: (bulk(b), b)),
    st.binary(max_size=20).map(lambda b: (b"=%d\r\ntxt:%s\r\n" % (len(b) + 4, b), b)),
    st.text("abc ", max_size=9).map(lambda t: (b"+%s\r\n" % t.encode(), t.encode())),
)


def several(children):
    def array(items, kind):
        return kind + b"%d\r\n" % len(items) + b"".join(i[0] for i in items), [i[1] for i in items]

    arrays = st.tuples(st.lists(children, max_size=4), st.sampled_from([b"*", b"~"]))
    pairs = st.dictionaries(st.binary(max_size=5), children, max_size=3)
    return st.one_of(
        arrays.map(lambda both: array(*both)),
        pairs.map(
            lambda d: (
                b"%%%d\r\n" % len(d) + b"".join(bulk(k) + v[0] for k, v in d.items()),
                {k: v[1] for k, v in d.items()},
            )
        ),
        children.map(lambda c: (b"|1\r\n+ttl\r\n:3\r\n" + c[0], c[1])),
    )


REPLIES = st.lists(st.recursive(LEAVES, several, max_leaves=12), min_size=1, max_size=5)


@given(REPLIES, st.data())
def test_replies_are_what_they_are_however_they_are_cut(replies, data):
    whole = b"".join(octets for octets, _ in replies)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]

    async def run():
        async with faked() as (fake, redis):
            waiting = [redis.execute("GET", n) for n in range(len(replies))]
            for _ in waiting:
                await fake.heard.get()
            await fake.say(*pieces)
            return [await reply for reply in waiting]

    assert asyncio.run(run()) == [value for _, value in replies]
