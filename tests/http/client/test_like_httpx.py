"""The same calls by httpx, by httpx2 and by ours: what a server sees of them is the same.

Differences that are meant: ours names itself, does not say `connection: keep-alive` to HTTP/1.1,
puts `params` behind the query that a URL has (httpx drops that), encodes a backslash, does not
turn a PUT into a GET at a 302, and drops more than Authorization where a redirect leads to a
stranger.
"""

import asyncio
import io
import re
from contextlib import asynccontextmanager

import h11
import httpx
import httpx2
import pytest

from megahertz import Client

OURS = frozenset(("user-agent", "connection", "host", "accept-encoding"))


@asynccontextmanager
async def echo(answers=()):
    """A server that remembers what it was asked, and answers as it is told."""
    asked, left = [], list(answers)

    async def serve(reader, writer):
        talk = h11.Connection(h11.SERVER)
        body, head = b"", None
        while True:
            event = talk.next_event()
            if event is h11.NEED_DATA:
                talk.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                writer.close()
                return
        asked.append((head.method.decode(), head.target.decode(), dict(head.headers), body))
        status, fields, content = left.pop(0) if left else (200, [], b"")
        fields = [*fields, ("content-length", str(len(content))), ("connection", "close")]
        writer.write(talk.send(h11.Response(status_code=status, headers=fields)))
        writer.write(talk.send(h11.Data(data=content)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def seen(asked):
    """Without what is meant to differ."""
    found = []
    for method, target, fields, body in asked:
        kept = {
            name.decode(): value.decode("latin-1")
            for name, value in fields.items()
            if name.decode() not in OURS
        }
        boundary = re.search("boundary=(.*)", kept.get("content-type", ""))
        if boundary:
            body = body.replace(boundary[1].encode(), b"BOUNDARY")
            kept["content-type"] = kept["content-type"].replace(boundary[1], "BOUNDARY")
        found.append((method, target, kept, body))
    return found


async def asked_by(make, calls, answers=()):
    """What each call makes a server see, and what comes of its answer."""
    async with echo(answers) as (base, asked):
        client = make(base)
        try:
            given = []
            for method, url, options in calls:
                response = await client.request(method, url, **options())
                where = str(response.url).removeprefix(base)
                given.append(
                    (
                        response.status_code,
                        where,
                        response.content,
                        response.text,
                        len(response.history),
                        dict(response.cookies),
                        response.headers.get("x-kept"),
                    )
                )
        finally:
            await client.aclose()
        return seen(asked), given


async def pieces():
    yield b"one"
    yield b"two"


CALLS = {
    "plain": ("GET", "/x", dict),
    "method": ("purge", "/x", dict),
    "query": ("GET", "/x?a=1&b=%20", dict),
    "params": ("GET", "/x", lambda: {"params": {"a": "1", "b": ["x", "y z"], "c": True}}),
    "params none": ("GET", "/x", lambda: {"params": {"a": None, "b": 1.5, "c": "\u00fc&="}}),
    "encoded": ("GET", "/a b/\u00fc/%2f?q=\u00fc v", dict),
    "dots": ("GET", "/a/../b/./c", dict),
    "json": ("POST", "/x", lambda: {"json": {"a": [1, 2.5, None, True, "\u00fc"]}}),
    "content": ("POST", "/x", lambda: {"content": b"octets"}),
    "text": ("POST", "/x", lambda: {"content": "\u00fc"}),
    "empty": ("POST", "/x", lambda: {"content": b""}),
    "post without": ("POST", "/x", dict),
    "put without": ("PUT", "/x", dict),
    "delete": ("DELETE", "/x", dict),
    "pieces": ("POST", "/x", lambda: {"content": pieces()}),
    "form": ("POST", "/x", lambda: {"data": {"a": "b c", "d": ["1", "2"], "e": "\u00fc"}}),
    "file": ("POST", "/x", lambda: {"files": {"f": ("a.txt", b"text")}}),
    "file object": ("POST", "/x", lambda: {"files": {"f": ("a.bin", io.BytesIO(b"oct"))}}),
    "unnamed": ("POST", "/x", lambda: {"files": {"f": b"x"}}),
    "form and files": (
        "POST",
        "/x",
        lambda: {
            "data": {"a": "1"},
            "files": [("f", ('q"u\r\note', "x", "x/y")), ("f", (None, b"y"))],
        },
    ),
    "headers": ("GET", "/x", lambda: {"headers": {"X-One": "1", "Accept": "x/y"}}),
    "auth": ("GET", "/x", lambda: {"auth": ("name", "p\u00e4ss:word")}),
    "cookies": ("GET", "/x", lambda: {"headers": {"Cookie": "a=1; b=2"}}),
}

MAKES = {
    "httpx": lambda base: httpx.AsyncClient(base_url=base),
    "httpx2": lambda base: httpx2.AsyncClient(base_url=base),
}


def ours(base, **options):
    return Client(base, propagate=False, **options)


@pytest.mark.parametrize("theirs", MAKES)
@pytest.mark.parametrize("name", CALLS)
def test_a_server_sees_the_same_request(name, theirs):
    expected, _ = asyncio.run(asked_by(MAKES[theirs], [CALLS[name]]))
    found, _ = asyncio.run(asked_by(ours, [CALLS[name]]))

    assert found == expected


ANSWERS = {
    "text": [(200, [("content-type", "text/plain; charset=latin-1"), ("x-kept", "1")], b"\xfc")],
    "utf-8": [(200, [], "\u00fc".encode() + b"\xff")],
    "not found": [(404, [], b"why")],
    "see other": [(303, [("location", "/y?q")], b""), (200, [], b"there")],
    "relative": [(302, [("location", "y/../z")], b""), (200, [], b"there")],
    "twice": [
        (301, [("location", "/y")], b""),
        (308, [("location", "/z#f")], b""),
        (200, [], b"x"),
    ],
    "cookies": [(200, [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")], b""), (200, [], b"")],
    "cookies on the way": [(302, [("location", "/y"), ("set-cookie", "a=1")], b""), (200, [], b"")],
    "nowhere": [(302, [], b"stay")],
}


@pytest.mark.parametrize("theirs", MAKES)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_leads_to_the_same(name, method, theirs):
    options = dict if method != "POST" else lambda: {"content": b"body"}
    answers = [
        (status, fields, b"" if method == "HEAD" else body)
        for status, fields, body in ANSWERS[name]
    ]
    calls = [(method, "/x", options)] * (2 if name == "cookies" else 1)

    def follow(make):
        def made(base):
            client = make(base)
            client.follow_redirects = True
            return client

        return made

    expected = asyncio.run(asked_by(follow(MAKES[theirs]), calls, answers))
    found = asyncio.run(asked_by(lambda base: ours(base, follow_redirects=True), calls, answers))

    assert found == expected
