"""What begins with a request ends with it, exactly once, whatever ends the request."""

import asyncio
import base64
import contextlib
import logging
import socket
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import App, Depends, HTTPError, Policy, StreamingResponse, WebSocket
from megahertz.engine import Server

KINDS = ["ring", "function", "async", "plain", "brief"]


class Story:
    """What happened, in order."""

    def __init__(self):
        self.begun, self.ended, self.errors = [], [], []

    def check(self, names):
        assert self.begun == [name for name in names if name in self.begun]
        lasting = [name for name in self.begun if not name.startswith(("function", "brief"))]
        assert [name for name in self.ended if name in lasting] == lasting[::-1]
        for kind in ("function", "brief"):
            some = [name for name in self.begun if name.startswith(kind)]
            assert [name for name in self.ended if name in some] == some[::-1]
        assert len(self.ended) == len(self.begun)


def layer_of(name, story):
    if name.startswith("function"):

        def layer(next):
            async def layered(request):
                story.begun.append(name)
                try:
                    return await next(request)
                finally:
                    await asyncio.sleep(0)
                    story.ended.append(name)

            return layered

        return layer

    async def ring(request):
        story.begun.append(name)
        try:
            yield
        finally:
            await asyncio.sleep(0)
            story.ended.append(name)

    return ring


def dependency_of(name, inner, story):
    if name.startswith("plain"):

        def plain(_: Annotated[None, inner]):
            story.begun.append(name)
            try:
                yield
            finally:
                story.ended.append(name)

        return Depends(plain)

    async def waiting(_: Annotated[None, inner]):
        story.begun.append(name)
        try:
            yield
        finally:
            await asyncio.sleep(0)
            story.ended.append(name)

    return Depends(waiting, scope="function" if name.startswith("brief") else None)


async def nothing():
    pass


class Scene:
    """One application, one server, one client that asks for `/`."""

    def __init__(self, layers, dependencies, story):
        self.story, self.reached = story, asyncio.Event()
        self.app = App(policy=Policy(), layers=[layer_of(name, story) for name in layers])
        last = Depends(nothing)
        chain = []
        for name in dependencies:
            # What ends early may depend on what ends late, and not the other way round.
            if not name.startswith("brief"):
                last = dependency_of(name, last, story)
                chain.append(last)
            else:
                chain.append(dependency_of(name, Depends(nothing), story))
        self.chain = chain

    @contextlib.asynccontextmanager
    async def serve(self):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            async with Server(self.app, [sock]) as server:
                reader, writer = await asyncio.open_connection(*sock.getsockname())
                self.reader, self.writer, self.server = reader, writer, server
                yield self
                writer.close()

    async def ask(self, *fields):
        self.writer.write("\r\n".join(["GET / HTTP/1.1", "Host: a", *fields, "", ""]).encode())
        await self.writer.drain()

    async def status(self):
        return int((await self.reader.readuntil(b"\r\n\r\n")).split(b" ")[1])


async def answered(scene):
    @scene.app.get("/", dependencies=scene.chain)
    async def handler() -> str:
        return "ok"

    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 200


async def threaded(scene):
    @scene.app.get("/", dependencies=scene.chain)
    def handler() -> str:
        return "ok"

    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 200


async def refused(scene):
    @scene.app.get("/", dependencies=scene.chain)
    async def handler() -> str:
        raise HTTPError(409, "no")

    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 409


async def broken(scene):
    @scene.app.get("/", dependencies=scene.chain)
    async def handler() -> str:
        raise ValueError("a bug")

    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 500


async def refused_by_a_dependency(scene):
    async def refusing():
        raise HTTPError(401, "who?")

    @scene.app.get("/", dependencies=[*scene.chain, Depends(refusing)])
    async def handler() -> str:
        raise AssertionError("not reached")

    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 401


def waiting_in(scene, **options):
    @scene.app.get("/", dependencies=scene.chain, **options)
    async def handler() -> str:
        scene.reached.set()
        await asyncio.Event().wait()


async def late(scene):
    waiting_in(scene, policy=Policy(deadline=0.02))
    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 504


async def left(scene):
    waiting_in(scene)
    async with scene.serve():
        await scene.ask()
        await scene.reached.wait()
        scene.writer.close()
        await scene.server.stop()


async def stopped(scene):
    waiting_in(scene)
    async with scene.serve():
        await scene.ask()
        await scene.reached.wait()
        await scene.server.stop(grace=0)


def streaming_in(scene, last):
    @scene.app.get("/", dependencies=scene.chain)
    async def handler() -> StreamingResponse:
        async def pieces():
            scene.story.begun.append("stream")
            try:
                yield b"x" * 10_000
                await last()
            finally:
                scene.story.ended.append("stream")

        return StreamingResponse(pieces())


async def streamed(scene):
    streaming_in(scene, nothing)
    async with scene.serve():
        await scene.ask("Connection: close")
        assert (await scene.reader.read()).endswith(b"0\r\n\r\n")


async def streamed_in_part(scene):
    streaming_in(scene, asyncio.Event().wait)
    async with scene.serve():
        await scene.ask()
        assert await scene.status() == 200
        scene.writer.close()
        await scene.server.stop()


async def streamed_until_an_error(scene):
    async def fail():
        raise ValueError("a bug")

    streaming_in(scene, fail)
    async with scene.serve():
        await scene.ask()
        assert not (await scene.reader.read()).endswith(b"0\r\n\r\n")


def shake():
    key = base64.b64encode(bytes(16)).decode()
    return [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]


async def socket_served(scene):
    @scene.app.websocket("/", dependencies=scene.chain)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()

    async with scene.serve():
        await scene.ask(*shake())
        assert await scene.status() == 101
        assert (await scene.reader.readexactly(1))[0] == 0x88


async def socket_denied(scene):
    @scene.app.websocket("/", dependencies=scene.chain)
    async def handler(websocket: WebSocket) -> None:
        raise HTTPError(403, "no")

    async with scene.serve():
        await scene.ask(*shake())
        assert await scene.status() == 403


async def socket_left(scene):
    @scene.app.websocket("/", dependencies=scene.chain)
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive()

    async with scene.serve():
        await scene.ask(*shake())
        assert await scene.status() == 101
        scene.writer.close()
        await scene.server.stop()


async def callbacks(scene):
    @scene.app.socket("/", dependencies=scene.chain)
    class Echo:
        async def received(self, websocket, message):
            await websocket.send(message)

    async with scene.serve():
        await scene.ask(*shake())
        assert await scene.status() == 101
        await asyncio.sleep(0)
        assert not [name for name in scene.story.ended if name.startswith("ring")]
        scene.writer.close()
        await scene.server.stop()


ENDINGS = [
    answered,
    threaded,
    refused,
    broken,
    refused_by_a_dependency,
    late,
    left,
    stopped,
    streamed,
    streamed_in_part,
    streamed_until_an_error,
    socket_served,
    socket_denied,
    socket_left,
    callbacks,
]


def named(kinds):
    return st.lists(st.sampled_from(kinds), max_size=4).map(
        lambda names: [f"{name} {number}" for number, name in enumerate(names)]
    )


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
@given(layers=named(["ring", "function"]), dependencies=named(["async", "plain", "brief"]))
def test_whatever_ends_a_request_each_end_comes_once_and_in_reverse(ending, layers, dependencies):
    story = Story()
    logging.getLogger("megahertz").setLevel(logging.CRITICAL)

    async def play():
        await ending(Scene(layers, dependencies, story))

    try:
        asyncio.run(play())
    finally:
        logging.getLogger("megahertz").setLevel(logging.NOTSET)

    story.check([*layers, *dependencies, "stream"])
    if ending is not late:  # which may come before all have begun
        expected = len(layers) + len(dependencies) + ending.__name__.startswith("streamed")
        assert len(story.begun) == expected
