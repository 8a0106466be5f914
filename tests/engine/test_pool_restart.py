"""A server that is killed and started again under load: no idempotent request fails.

The listening socket lives on, as it does with a supervisor or systemd; what dies with the process
is every connection, with the requests on them.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys

from megahertz.engine import Origin, Pool

SERVER = """
import asyncio, socket, sys

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    sock = socket.socket(fileno=int(sys.argv[1]))
    async with await asyncio.start_server(serve, sock=sock) as server:
        await server.serve_forever()

asyncio.run(main())
"""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CALLERS = 16
KILLS = 3


def started(sock: socket.socket) -> subprocess.Popen[bytes]:
    number = sock.fileno()
    return subprocess.Popen([sys.executable, "-c", SERVER, str(number)], pass_fds=[number])


async def test_no_idempotent_request_fails():
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        pool, origin = Pool(), Origin("http", *sock.getsockname())
        answered, more = [0] * CALLERS, asyncio.Event()
        over = False

        async def caller(number: int) -> None:
            while not over:
                answer = await pool.send(origin, "GET", "/", timeout=60.0)
                assert answer.body == b"ok"
                answered[number] += 1
                more.set()

        async def answers(count: int) -> None:
            """Until every caller has had so many more."""
            wanted = [had + count for had in answered]
            while any(had < want for had, want in zip(answered, wanted, strict=True)):
                more.clear()
                await more.wait()

        process = started(sock)
        async with asyncio.TaskGroup() as callers:
            for number in range(CALLERS):
                callers.create_task(caller(number))
            for _ in range(KILLS):
                await answers(10)
                process.kill()
                process.wait()
                process = started(sock)
            await answers(10)
            over = True
        seen = pool.statistics()
        await pool.aclose()
        process.kill()
        process.wait()
    assert 0 < seen.repeated <= seen.requests
    assert seen.dialled <= CALLERS * (KILLS + 1)


def cut(writer):
    """Ends a connection now: a transport would only in the loop's next turn."""
    number = writer.get_extra_info("socket").fileno()
    with socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM) as same:
        same.shutdown(socket.SHUT_RDWR)


async def test_who_is_asked_again_takes_a_connection_that_is_new():
    """Not the next one that is free: that may be of the server that has gone, as here."""
    asked, serving = asyncio.Queue(), []

    async def serve(reader, writer):
        number = len(serving)
        serving.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        if number < 2:
            asked.put_nowait(writer)
            await reader.read(1)  # the end, or what comes on the second one, which is not heard
        else:
            writer.write(ANSWER)
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        pool, origin = Pool(), Origin("http", *server.sockets[0].getsockname())
        calls = [asyncio.create_task(pool.send(origin, "GET", "/")) for _ in range(2)]
        first, second = await asked.get(), await asked.get()
        cut(first)
        second.write(ANSWER)
        async with asyncio.timeout(60):
            assert [answer.body for answer in await asyncio.gather(*calls)] == [b"ok"] * 2
        assert (pool.statistics().repeated, len(serving)) == (1, 3)
        await pool.aclose()
        await asyncio.gather(*serving)


async def test_one_connection_a_caller_is_enough_for_any_number_of_calls():
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        process = started(sock)
        pool, origin, left = Pool(), Origin("http", *sock.getsockname()), iter(range(2_000))

        async def caller() -> None:
            for _ in left:
                await pool.send(origin, "GET", "/", timeout=60.0)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        seen = pool.statistics()
        await pool.aclose()
        process.kill()
        process.wait()
    assert (seen.requests, seen.dialled) == (2_000, CALLERS)
