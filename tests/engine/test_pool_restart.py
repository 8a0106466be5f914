"""A server that is killed and started again under load: no idempotent request fails.

The listening socket lives on, as it does with a supervisor or systemd; what dies with the process
is every connection, with the requests on them.
"""

import asyncio
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
