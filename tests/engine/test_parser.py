"""The parser against h11 and httptools on the same bytes, and against published vectors.

Where we differ it is by refusing more, and each reason is named: `STRICTER`.
"""

import dataclasses

import h11
import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz.engine.native import read_request
from megahertz.settings import Limits

from .conftest import vectors

LIMITS = dataclasses.asdict(Limits())


def ours(data: bytes):
    return read_request(data, LIMITS)


class Tools:
    """httptools' callbacks, collected."""

    def __init__(self):
        self.target = self.body = b""
        self.headers = []
        self.complete = False

    def on_url(self, url):
        self.target += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.complete = True


def by_httptools(data: bytes):
    """None: unfinished; False: refused; else method, target, headers, body."""
    tools = Tools()
    parser = httptools.HttpRequestParser(tools)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return False
    if not tools.complete:
        return None
    return parser.get_method(), tools.target, tools.headers, tools.body


def by_h11(data: bytes):
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(data)
        head = connection.next_event()
        if head is h11.NEED_DATA:
            return None
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
        if event is h11.NEED_DATA:
            return None
    except h11.RemoteProtocolError:
        return False
    headers = [(bytes(name), bytes(value)) for name, value in head.headers]
    return bytes(head.method), bytes(head.target), headers, body


TOKEN = st.text("abcXYZ019-_!#$%&'*+.^`|~", min_size=1, max_size=8).map(str.encode)
VALUE = st.text('ab cd\t:;,="/xyz\xe9', max_size=12).map(lambda t: t.strip().encode("latin-1"))
TARGET = st.text("abc/%20-._~!$&'()*+,;=:@", max_size=20).map(lambda t: b"/" + t.encode())
QUERY = st.one_of(st.just(b""), st.text("abc=&%+/?", max_size=10).map(lambda t: b"?" + t.encode()))
METHOD = st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH"])
SPECIAL = {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"}


@st.composite
def requests(draw):
    """A well-formed request, its body by length, in chunks, or none."""
    headers = [(b"Host", b"example.org")]
    headers += draw(st.lists(st.tuples(TOKEN, VALUE), max_size=5))
    headers = [pair for pair in headers if pair[0] == b"Host" or pair[0].lower() not in SPECIAL]
    body = draw(st.one_of(st.just(b""), st.binary(max_size=50)))
    wire = body
    if body and draw(st.booleans()):
        headers.append((b"Transfer-Encoding", b"chunked"))
        cut = draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
        wire = b"".join(b"%X\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif body:
        headers.append((b"Content-Length", b"%d" % len(body)))
    target = draw(TARGET) + draw(QUERY)
    head = draw(METHOD) + b" " + target + b" HTTP/1.1\r\n"
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    return head + lines + b"\r\n" + wire


@given(requests())
@settings(max_examples=300)
def test_well_formed_requests_read_the_same(data):
    mine = ours(data)
    target = mine["path"] + (b"?" + mine["query"] if b"?" in data.split(b" ")[1] else b"")
    reading = mine["method"], target, mine["headers"], mine["body"]
    assert reading == by_h11(data)
    assert reading == by_httptools(data)
    assert mine["rest"] == b""


@given(requests(), st.data())
@settings(max_examples=200)
def test_every_part_of_a_request_is_unfinished(data, draw):
    end = draw.draw(st.integers(0, len(data) - 1))
    assert ours(data[:end]) is None


@given(requests(), requests())
@settings(max_examples=50)
def test_what_follows_a_request_is_left(first, second):
    assert ours(first + second)["rest"] == second


@given(requests(), st.data())
@settings(max_examples=500)
def test_damaged_requests_are_never_read_more_freely(data, draw):
    """One octet changed, added or taken: what we accept, h11 and httptools read the same."""
    at = draw.draw(st.integers(0, len(data) - 1))
    octet = bytes([draw.draw(st.sampled_from(list(b"\x00\r\n \t:;,aZ0/%\x7f\x80")))])
    kind = draw.draw(st.sampled_from(["change", "add", "take"]))
    after = at + (kind != "add")
    damaged = data[:at] + (b"" if kind == "take" else octet) + data[after:]
    mine = ours(damaged)
    if not isinstance(mine, dict):
        return
    for other in (by_h11(damaged), by_httptools(damaged)):
        if other in (None, False):
            continue  # They refuse something that we read: looked at below, by name.
        assert mine["body"] == other[3], damaged
        assert mine["method"] == other[0], damaged


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_any_bytes_end_in_a_request_a_status_or_a_wait(data):
    result = ours(data)
    assert result is None or isinstance(result, dict) or result in (400, 413, 414, 431, 501, 505)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_chunks_end_in_a_body_a_status_or_a_wait(data):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    result = ours(head + data)
    other = by_httptools(head + data)
    if isinstance(result, dict) and other:
        assert result["body"] == other[3]


STRICTER = {
    "a bare LF ends a line": b"GET / HTTP/1.1\nHost: a\n\n",
    "Host has another alphabet": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "the same length twice": (
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"
    ),
    "length beside chunks": (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a fragment in the target": b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("reason", STRICTER)
def test_what_h11_reads_and_we_refuse(reason):
    assert by_h11(STRICTER[reason])
    assert ours(STRICTER[reason]) == 400


FRAMING_ERRORS = {3, 4, 10, 11, 12, 15, 25, 30}
"""llhttp's: LF or CR missing, lengths and codings that conflict, tokens, spaces."""


def test_llhttp_vectors_end_in_an_answer():
    """Most lack Host, so a verdict is not theirs; framing errors they name we must refuse too."""
    read = 0
    for vector in vectors("llhttp.json"):
        result = ours(vector["raw"].encode())
        while isinstance(result, dict) and result["rest"]:
            result = ours(result["rest"])
        read += isinstance(result, dict)
        if vector["code"] in FRAMING_ERRORS:
            assert not isinstance(result, dict), vector["name"]
    assert read > 10
