"""Content codings: taken away, several at once, and never more than there may be."""

import gzip
import zlib

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import Client
from megahertz.errors import AnswerTooLarge, BadAnswer
from megahertz.http.client.decoding import PIECE, decoded, decoder_of
from tests.virtual import virtual

from .pools import Came, Scripted

try:
    from compression import zstd
except ImportError:
    from backports import zstd


def raw_deflate(data):
    squeezed = zlib.compressobj(wbits=-15)
    return squeezed.compress(data) + squeezed.flush()


CODERS = {
    "gzip": [gzip.compress, lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])],
    "x-gzip": [gzip.compress],
    "deflate": [zlib.compress, raw_deflate],
    "br": [brotli.compress],
    "zstd": [zstd.compress, lambda data: zstd.compress(data[:3]) + zstd.compress(data[3:])],
}
EACH = [
    pytest.param(name, coder, id=f"{name}-{number}")
    for name, coders in CODERS.items()
    for number, coder in enumerate(coders)
]


@pytest.mark.parametrize(("coding", "coder"), EACH)
@given(data=st.binary(max_size=300) | st.binary(min_size=1, max_size=3).map(lambda it: it * 30_000))
def test_a_coding_is_taken_away(coding, coder, data):
    assert decoded(coder(data), coding, 1 << 20) == data


@pytest.mark.parametrize(("coding", "coder"), EACH)
@given(cut=st.integers(1, 50))
def test_wherever_the_pieces_are_cut(coding, coder, cut):
    data = bytes(range(256)) * 3
    body, decoder = coder(data), decoder_of(coding)
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]

    assert b"".join(part for piece in pieces for part in decoder.feed(piece)) == data
    assert decoder.whole()


@pytest.mark.parametrize(("coding", "coder"), EACH)
def test_a_bomb_is_refused_before_it_is_there(coding, coder):
    body = coder(bytes(5_000_000))

    with pytest.raises(AnswerTooLarge, match="unfolds to more than 1000000"):
        decoded(body, coding, 1_000_000)
    largest = max(len(part) for part in decoder_of(coding).feed(body))
    assert largest <= 2 * PIECE


@pytest.mark.parametrize(("coding", "coder"), EACH)
def test_half_a_body_is_none(coding, coder):
    body = coder(bytes(range(256)) * 100)
    with pytest.raises(BadAnswer):
        decoded(body[: len(body) // 2], coding, 1 << 20)


@pytest.mark.parametrize("coding", list(CODERS))
def test_what_is_none_of_its_coding_is_refused(coding):
    with pytest.raises(BadAnswer, match=coding.removeprefix("x-")):
        decoded(b"this is no such thing", coding, 1 << 20)


@pytest.mark.parametrize(("coding", "coder"), EACH)
@given(data=st.binary(min_size=1, max_size=60))
def test_any_octets_are_a_body_or_a_refusal(coding, coder, data):
    try:
        decoded(data, coding, 1 << 20)
    except BadAnswer:
        pass


def test_codings_on_top_of_each_other():
    body = brotli.compress(gzip.compress(b"twice"))

    assert decoded(body, "gzip, br", 100) == b"twice"
    with pytest.raises(BadAnswer, match="6 codings"):
        decoded(b"x", ", ".join(["gzip"] * 6), 100)


@pytest.mark.parametrize("coding", ["identity", "", "klingon", " , "])
def test_a_coding_that_nobody_knows_is_left(coding):
    assert decoded(b"as it is", coding, 100) == b"as it is"


def test_what_stands_behind_gzip_is_nobodys():
    assert decoded(gzip.compress(b"x") + b"\0\0junk", "gzip", 100) == b"x"


def test_no_body_needs_no_decoding():
    assert decoded(b"", "gzip", 100) == b""


def answer(body, coding="gzip", **more):
    return Came(200, [("content-encoding", coding)], body, **more)


@virtual
async def test_a_client_gives_bodies_without_their_coding():
    pool = Scripted(answer(gzip.compress(b"hello")))
    response = await Client(pool=pool).get("http://a/")

    assert pool.sent[0].header("accept-encoding") == "gzip, deflate, br, zstd"
    assert response.text == "hello"


@virtual
async def test_a_client_refuses_a_bomb():
    client = Client(pool=Scripted(answer(gzip.compress(bytes(10_000_000)))), body_bytes=1_000_000)
    response = await client.get("http://a/")

    with pytest.raises(AnswerTooLarge, match="Client\\(body_bytes=\\)"):
        response.content  # noqa: B018


@virtual
async def test_a_stream_unfolds_piece_by_piece():
    body = gzip.compress(bytes(10_000_000))
    came = answer(b"", pieces=[body])
    async with Client(pool=Scripted(came)).stream("GET", "http://a/") as response:
        sizes = [len(piece) async for piece in response.aiter_bytes()]

    assert sum(sizes) == 10_000_000
    assert max(sizes) <= PIECE


@virtual
async def test_a_stream_that_ends_early_is_told():
    came = answer(b"", pieces=[gzip.compress(bytes(1000))[:-9]])
    async with Client(pool=Scripted(came)).stream("GET", "http://a/") as response:
        with pytest.raises(BadAnswer, match="before its end"):
            await response.aread()
