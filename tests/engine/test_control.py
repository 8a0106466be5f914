import asyncio
import os
import socket

import pytest

from megahertz.engine import ask_reload, is_supervisor
from megahertz.engine.control import Control
from megahertz.errors import BadSettings


@pytest.mark.parametrize("error", [None, "the new workers do not start"])
async def test_it_answers_how_the_restart_went(error):
    async def reload():
        return error

    async with Control(reload):
        assert is_supervisor(os.getpid())
        assert await asyncio.to_thread(ask_reload, os.getpid(), timeout=20) == error
    assert not is_supervisor(os.getpid())


async def test_who_says_something_else_is_not_answered():
    asked = []

    async def reload():
        asked.append(True)

    async with Control(reload):
        for words in (b"", b"hello\n", b"x" * 100_000):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(f"\0megahertz/{os.getpid()}")
            reader, writer = await asyncio.open_unix_connection(sock=sock)
            writer.write(words)
            if not words:
                writer.write_eof()
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                pass  # it left some unread
            writer.close()
    assert not asked


async def test_a_name_that_is_taken_costs_only_the_command():
    """Containers of a pod share abstract names, and each has a process 1."""

    async def reload():
        return None

    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(f"\0megahertz/{os.getpid()}")
        async with Control(reload):
            assert not is_supervisor(os.getpid())


async def test_another_users_wish_is_none(monkeypatch):
    async def reload():
        raise AssertionError

    async with Control(reload):
        monkeypatch.setattr("megahertz.engine.control.who", lambda sock: (os.getpid(), 12345))
        told = await asyncio.to_thread(ask_reload, os.getpid(), timeout=20)
    assert told == "not yours"


def test_an_answer_has_its_time():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"\0megahertz/{os.getpid()}")
        sock.listen()
        with pytest.raises(BadSettings, match="has not answered within"):
            ask_reload(os.getpid(), timeout=0.01)


async def test_a_supervisor_that_ends_meanwhile_is_told():
    async def end(reader, writer):
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(end, f"\0megahertz/{os.getpid()}"):
        told = await asyncio.to_thread(ask_reload, os.getpid(), timeout=20)
    assert told == "the supervisor has ended meanwhile"


def test_who_listens_under_anothers_name_is_not_asked():
    """Any user may take the name of a process that is no supervisor."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0megahertz/1")
        sock.listen()
        with pytest.raises(BadSettings, match="not who listens"):
            ask_reload(1, timeout=20)
