"""Compressed answers, read by the packages' own decompressors."""

import asyncio
import gzip
import json
import zlib

import brotli
import pytest
from backports import zstd

from megahertz import App, Compress, JSONResponse, Response, StreamingResponse
from megahertz.errors import BadSettings
from megahertz.http import compress
from megahertz.testing import Client

ITEMS = [{"name": "megahertz", "number": number} for number in range(200)]
READ = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}


def app_of(handler, **options) -> App:
    app = App(layers=[Compress(**options)])
    app.get("/")(handler)
    return app


def get(handler, accepted="gzip, br, zstd", **options):
    with Client(app_of(handler, **options)) as client:
        return client.get("/", headers={"accept-encoding": accepted})


@pytest.mark.parametrize("coding", READ)
@pytest.mark.parametrize("count", [1, 100], ids=["small", "in a thread"])
def test_a_body(coding, count):
    async def handler():
        return ITEMS * count

    reply = get(handler, coding)

    assert reply.headers["content-encoding"] == coding
    assert reply.headers["vary"] == "accept-encoding"
    assert reply.headers["content-type"] == "application/json"
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert json.loads(READ[coding](reply.content)) == ITEMS * count


def test_the_best_that_both_know():
    async def handler():
        return ITEMS

    assert get(handler).headers["content-encoding"] == "zstd"
    assert get(handler, codings=["gzip"]).headers["content-encoding"] == "gzip"
    plain = get(handler, "deflate")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"
    assert plain.json() == ITEMS


LARGE = b"x" * 5000


@pytest.mark.parametrize(
    "answer",
    [
        Response(b"x" * 1000, media_type="text/plain"),
        Response(LARGE, media_type="image/png"),
        Response(LARGE),
        Response(LARGE, headers={"content-encoding": "x"}, media_type="text/plain"),
        Response(LARGE, headers={"cache-control": "no-transform"}, media_type="text/plain"),
        Response(LARGE, 206, media_type="text/plain"),
    ],
    ids=["small", "image", "no type", "encoded", "no-transform", "partial"],
)
def test_what_stays_as_it_is(answer):
    async def handler() -> Response:
        return answer

    reply = get(handler)

    assert reply.headers.get("content-encoding") in (None, "x")
    assert reply.content == answer.body


def test_the_entity_tag_becomes_weak_and_the_answer_is_not_touched():
    kept = JSONResponse(ITEMS, headers={"etag": '"1"'})

    async def handler() -> Response:
        return kept

    assert get(handler).headers["etag"] == 'W/"1"'
    assert get(handler, "").headers["etag"] == '"1"'
    assert get(handler, "").json() == ITEMS


@pytest.mark.parametrize("coding", READ)
def test_each_piece_of_a_stream_can_be_read_when_it_has_come(coding):
    async def pieces():
        for number in range(50):
            yield f"piece {number}\n"
            await asyncio.sleep(0)

    async def handler() -> StreamingResponse:
        return StreamingResponse(pieces(), media_type="text/plain")

    reply = get(handler, coding)
    expected = "".join(f"piece {number}\n" for number in range(50)).encode()

    assert reply.headers["content-encoding"] == coding
    assert READ[coding](reply.content) == expected


def test_a_flushed_piece_is_readable():
    compressor, decompressor = compress.Gzip(), zlib.decompressobj(31)
    sent = compressor.compress(b"now") + compressor.flush()

    assert decompressor.decompress(sent) == b"now"


def test_a_short_stream_has_its_length():
    async def handler() -> StreamingResponse:
        return StreamingResponse(iter([b"a" * 4000, b""]), media_type="text/plain")

    reply = get(handler, "gzip")

    assert gzip.decompress(reply.content) == b"a" * 4000


def test_an_event_stream_is_left_alone():
    async def handler() -> StreamingResponse:
        return StreamingResponse(iter([LARGE]), media_type="text/event-stream")

    assert get(handler).content == LARGE


def test_a_coding_that_is_not_there(monkeypatch):
    monkeypatch.setattr(compress, "_module", lambda name: None)

    assert list(compress.available()) == ["gzip"]
    with pytest.raises(BadSettings, match="pip install"):
        Compress(codings=["br"])
