"""The cases of W3C's own suite (github.com/w3c/trace-context, test/test.py), strict, Level 2.

Each sends a request with fields of its own through a real socket; the handler tells whom it would
ask by `inject`, and what it tells is judged.
"""

import json
import re

import pytest

from megahertz import App
from megahertz.observe import Tracing, inject
from megahertz.testing import Client

TRACE, PARENT = "12345678901234567890123456789012", "1234567890123456"
GOOD = f"00-{TRACE}-{PARENT}-01"
OURS = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}")

app = App(layers=[Tracing(0.5)])


@app.get("/")
async def handler(calls: int = 1) -> list[dict[str, str]]:
    told: list[dict[str, str]] = [{} for _ in range(calls)]
    for headers in told:
        inject(headers)
    return told


@pytest.fixture(scope="module")
def client():
    with Client(app) as client:
        yield client


def ask(client, fields, calls=1):
    """What the service tells whom it calls, checked for its form."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    connection = client.connect()
    head = f"GET /?calls={calls} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n"
    connection.sendall(head.encode())
    with connection, connection.makefile("rb") as file:
        body = file.read().partition(b"\r\n\r\n")[2]
    told = json.loads(body)
    for headers in told:
        found = OURS.fullmatch(headers["traceparent"])
        assert found is not None
        assert found["trace"] != "0" * 32
        assert found["parent"] not in ("0" * 16, PARENT)
    return told


def trace_of(told):
    return OURS.fullmatch(told["traceparent"])["trace"]


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TrAcEpArEnT", "TRACEPARENT"])
def test_a_trace_goes_on_with_a_parent_of_its_own(client, name):
    assert trace_of(ask(client, [(name, GOOD)])[0]) == TRACE


FUTURE = f"cc-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "value",
    [
        FUTURE,
        f"{FUTURE}-what-the-future-will-be-like",
        f" {GOOD}",
        f"\t{GOOD}",
        f"{GOOD} ",
        f"{GOOD}\t",
        f"\t {GOOD} \t",
        f"00-{TRACE}-{PARENT}-00",
    ],
)
def test_what_is_well_formed_is_believed(client, value):
    assert trace_of(ask(client, [("traceparent", value)])[0]) == TRACE


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("trace-parent", GOOD)],
        [("trace.parent", GOOD)],
        [("traceparent", GOOD), ("traceparent", f"00-{TRACE[:-1]}1-{PARENT}-01")],
        *(
            [("traceparent", value)]
            for value in [
                f"{GOOD}.",
                f"{GOOD}-what-the-future-will-be-like",
                f"{FUTURE}.what-the-future-will-be-like",
                f"ff-{TRACE}-{PARENT}-01",
                f".0-{TRACE}-{PARENT}-01",
                f"0.-{TRACE}-{PARENT}-01",
                f"000-{TRACE}-{PARENT}-01",
                f"0000-{TRACE}-{PARENT}-01",
                f"0-{TRACE}-{PARENT}-01",
                f"00-{'0' * 32}-{PARENT}-01",
                f"00-.{TRACE[1:]}-{PARENT}-01",
                f"00-{TRACE[:-1]}.-{PARENT}-01",
                f"00-{TRACE}3-{PARENT}-01",
                f"00-{TRACE[:-1]}-{PARENT}-01",
                f"00-{TRACE}-{'0' * 16}-01",
                f"00-{TRACE}-.{PARENT[1:]}-01",
                f"00-{TRACE}-{PARENT[:-1]}.-01",
                f"00-{TRACE}-{PARENT}7-01",
                f"00-{TRACE}-{PARENT[:-1]}-01",
                f"00-{TRACE}-{PARENT}-.0",
                f"00-{TRACE}-{PARENT}-0.",
                f"00-{TRACE}-{PARENT}-001",
                f"00-{TRACE}-{PARENT}-1",
                f"00-{TRACE.replace('9', 'A')}-{PARENT}-01",
                "",
            ]
        ),
    ],
)
def test_anything_else_begins_a_new_trace(client, fields):
    found = trace_of(ask(client, fields)[0])
    assert found not in (TRACE, f"{TRACE[:-1]}1", TRACE.replace("9", "a"))


LONG = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
VALUE = "".join(map(chr, [*range(0x20, 0x2C), *range(0x2D, 0x3D), *range(0x3E, 0x7F)]))
MANY = ",".join(f"bar{number:02}={number:02}" for number in range(1, 33))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["foo=1,bar=2"], "foo=1,bar=2"),
        ([""], None),
        (["foo=1", ""], "foo=1"),
        (["", "foo=1"], "foo=1"),
        (["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"),
        ([f"{LONG}={VALUE}"], f"{LONG}={VALUE}"),
        ([f"{LONG}@a-z0-9_-*/=x"], f"{LONG}@a-z0-9_-*/=x"),
        (["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], "foo=1,bar=2,baz=3"),
        ([" foo=1"], "foo=1"),
        (["\t foo=1 \t"], "foo=1"),
        ([MANY], MANY),
        ([MANY, "bar33=33"], None),
        (["foo=1", f"{'z' * 256}=1"], f"foo=1,{'z' * 256}=1"),
        (["foo=1", f"{'z' * 257}=1"], None),
        (["foo=1", f"{'t' * 241}@{'v' * 14}=1"], f"foo=1,{'t' * 241}@{'v' * 14}=1"),
        (["foo=1", f"{'t' * 242}@v=1"], f"foo=1,{'t' * 242}@v=1"),
        (["foo=1", f"t@{'v' * 15}=1"], f"foo=1,t@{'v' * 15}=1"),
        (["foo=1,foo=1"], "foo=1"),
        (["foo=1,foo=2"], "foo=1"),
        (["foo=1", "foo=1"], "foo=1"),
        (["foo=1", "foo=2"], "foo=1"),
        (["foo@=1,bar=2"], "foo@=1,bar=2"),
        (["foo@@bar=1,bar=2"], "foo@@bar=1,bar=2"),
        (["foo@bar@baz=1,bar=2"], "foo@bar@baz=1,bar=2"),
        *(
            ([line], None)
            for line in [
                "foo =1",
                "FOO=1",
                "foo.bar=1",
                "@foo=1,bar=2",
                "foo=bar=baz",
                "foo=,bar=3",
            ]
        ),
    ],
)
def test_tracestate_is_handed_on_whole_or_not_at_all(client, lines, expected):
    fields = [("traceparent", f"00-{TRACE}-{PARENT}-00"), *(("tracestate", it) for it in lines)]

    told = ask(client, fields)[0]

    assert trace_of(told) == TRACE
    assert told.get("tracestate") == expected


@pytest.mark.parametrize("name", ["TraceState", "TrAcEsTaTe", "TRACESTATE"])
def test_tracestate_in_any_case(client, name):
    assert ask(client, [("traceparent", GOOD), (name, "foo=1")])[0]["tracestate"] == "foo=1"


@pytest.mark.parametrize("name", ["trace-state", "trace.state"])
def test_tracestate_by_no_other_name(client, name):
    assert "tracestate" not in ask(client, [("traceparent", GOOD), (name, "foo=1")])[0]


def test_tracestate_alone_is_dropped(client):
    assert "tracestate" not in ask(client, [("tracestate", "foo=1")])[0]


def test_calls_of_one_request_share_its_trace(client):
    told = ask(client, [("traceparent", f"00-{TRACE}-{PARENT}-00")], calls=3)

    assert {trace_of(headers) for headers in told} == {TRACE}
    assert len({headers["traceparent"] for headers in told}) == 3


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_a_random_trace_id_stays_one(client, flags):
    told = ask(client, [("traceparent", f"00-{TRACE}-{PARENT}-{flags}")])[0]

    assert told["traceparent"].endswith(flags)


@pytest.mark.parametrize("fields", [[], [("traceparent", f"00-{'0' * 32}-{PARENT}-01")]])
def test_calls_of_a_request_that_begins_a_trace(client, fields):
    told = ask(client, fields, calls=3)

    assert len({trace_of(headers) for headers in told}) == 1
    assert len({headers["traceparent"] for headers in told}) == 3
