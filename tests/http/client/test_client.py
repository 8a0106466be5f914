"""What a client sends, and what it makes of what comes; the connections are a script's."""

import asyncio
import io
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import Client, deadline
from megahertz.errors import (
    AnswerTooLarge,
    BadAnswer,
    BadSettings,
    ConnectError,
    DeadlineExceeded,
    LocalProtocolError,
    Misused,
    StatusError,
)
from tests.virtual import virtual

from .pools import Came, Scripted


def json_answer(body=b'{"sku": 7}', **more):
    return Came(body=body, headers=[("content-type", "application/json")], **more)


class Order(msgspec.Struct):
    sku: int


# Where it goes.


@pytest.mark.parametrize(
    ("base", "url", "asked"),
    [
        ("", "http://a/x", "http://a/x"),
        ("http://a", "/x", "http://a/x"),
        ("http://a/", "x", "http://a/x"),
        ("http://a/v1", "/x", "http://a/v1/x"),
        ("http://a/v1/", "x?q=1", "http://a/v1/x?q=1"),
        ("http://a/v1", "", "http://a/v1/"),
        ("http://a/v1", "http://b/x", "http://b/x"),
        ("http://a/v1", "//b/x", "http://a/v1/b/x"),
    ],
)
@virtual
async def test_a_url_is_behind_the_base(base, url, asked):
    pool = Scripted(Came())
    response = await Client(base, pool=pool).get(url)

    assert str(response.url) == asked
    assert f"http://{pool.sent[0].origin.host}{pool.sent[0].target}" == asked


@pytest.mark.parametrize("base", ["a", "ftp://a", "http://a?q", "http://a#f"])
def test_a_base_is_a_url_to_put_a_path_behind(base):
    with pytest.raises((BadSettings, LocalProtocolError)):
        Client(base, pool=Scripted())


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"max_redirects": -1}, {"body_bytes": 0}], ids=str
)
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(BadSettings):
        Client(pool=Scripted(), **wrong)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
@virtual
async def test_each_method_has_a_name(method):
    pool = Scripted(Came(204))
    response = await getattr(Client(pool=pool), method)("http://a/")

    assert response.status_code == 204
    assert pool.sent[0].method == method.upper()


@virtual
async def test_params_go_behind_the_query():
    pool = Scripted(Came())
    client = Client("http://a", params={"key": "k"}, pool=pool)
    await client.get("/x?a=1#f", params={"b": [1, True], "c": None, "d": "e f&"})
    await client.get("/x", params=[("b", 1), ("b", 2)])
    await client.get("/x", params="said=already")

    assert pool.sent[0].target == "/x?a=1&key=k&b=1&b=true&c=&d=e+f%26"
    assert pool.sent[1].target == "/x?key=k&b=1&b=2"
    assert pool.sent[2].target == "/x?key=k&said=already"


# Fields.


@virtual
async def test_a_call_says_what_kind_of_client_it_is():
    pool = Scripted(Came())
    await Client(pool=pool).get("http://a/")

    assert [name for name, _ in pool.sent[0].headers] == [
        "accept",
        "accept-encoding",
        "user-agent",
    ]


@virtual
async def test_a_calls_fields_go_before_the_clients():
    pool = Scripted(Came())
    client = Client(pool=pool, headers={"User-Agent": "mine", "X-One": "1"})
    await client.get("http://a/", headers=[("x-one", "2"), ("X-Two", "a"), ("X-Two", "b")])

    sent = pool.sent[0]
    assert sent.header("user-agent") == "mine"
    assert [value for name, value in sent.headers if name == "x-one"] == ["2"]
    assert [value for name, value in sent.headers if name == "x-two"] == ["a", "b"]


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "a\r\ny: b"},
        {"x": "a\nb"},
        {"x": "a\x00"},
        {"x\r\ny": "a"},
        {"x y": "a"},
        {"": "a"},
        {"x": "\u20ac"},
        {"x": 1},
        {"x": None},
        {"host": "a, b"},
        {"host": "a b"},
        {"host": "a@b"},
        {"host": "a/b"},
        {"host": ""},
        [("host", "a"), ("Host", "a")],
    ],
    ids=ascii,
)
@virtual
async def test_no_field_can_become_two(headers):
    pool = Scripted(Came())
    with pytest.raises(LocalProtocolError):
        await Client(pool=pool).get("http://a/", headers=headers)
    with pytest.raises(LocalProtocolError):
        Client(pool=pool, headers=headers)

    assert pool.sent == []


@pytest.mark.parametrize("host", ["a", "a.example:8000", "[::1]", "[::1]:80", "my_svc"])
@virtual
async def test_a_host_can_be_named(host):
    pool = Scripted(Came())
    await Client(pool=pool).get("http://a/", headers={"Host": host})

    assert pool.sent[0].header("host") == host


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1\r\nX: y", "", "G T", "G\x00T"])
@virtual
async def test_no_method_can_become_a_request(method):
    pool = Scripted(Came())
    with pytest.raises(LocalProtocolError):
        await Client(pool=pool).request(method, "http://a/")

    assert pool.sent == []


@pytest.mark.parametrize(
    ("made", "url", "told", "sent"),
    [
        ({}, "http://a/", ("n", "p"), "Basic bjpw"),
        ({}, "http://a/", "token", "Bearer token"),
        ({}, "http://n:p@a/", None, "Basic bjpw"),
        ({}, "http://n:p@a/", "token", "Bearer token"),
        ({"auth": "mine"}, "http://a/", None, "Bearer mine"),
        ({"auth": "mine"}, "http://a/", ("n", "p"), "Basic bjpw"),
        ({"auth": "mine", "base_url": "http://a"}, "/x", None, "Bearer mine"),
        ({"auth": "mine", "base_url": "http://a"}, "http://b/", None, None),
        ({"base_url": "http://n:p@a"}, "/x", None, "Basic bjpw"),
        ({"headers": {"authorization": "own"}, "auth": "mine"}, "http://a/", None, "own"),
    ],
)
@virtual
async def test_who_asks(made, url, told, sent):
    pool = Scripted(Came())
    client = Client(pool=pool, **made)
    await client.get(url, **({} if told is None else {"auth": told}))

    assert pool.sent[0].header("authorization") == sent


@pytest.mark.parametrize("auth", [("a",), 7, ("a", "b", "c")])
@virtual
async def test_what_is_no_credential_is_refused(auth):
    with pytest.raises(Misused):
        await Client(pool=Scripted(Came())).get("http://a/", auth=auth)


# Bodies.


async def pieces(*parts):
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("options", "body", "kind"),
    [
        ({"json": {"a": [1, "\u00fc"]}}, '{"a":[1,"\u00fc"]}'.encode(), "application/json"),
        ({"json": Order(7)}, b'{"sku":7}', "application/json"),
        ({"json": 0}, b"0", "application/json"),
        ({"content": b"x"}, b"x", None),
        ({"content": "\u00fc"}, "\u00fc".encode(), None),
        ({"content": bytearray(b"x")}, b"x", None),
        (
            {"data": {"a": "b c", "d": ["1", "2"]}},
            b"a=b+c&d=1&d=2",
            "application/x-www-form-urlencoded",
        ),
        ({}, b"", None),
    ],
    ids=lambda it: ascii(it)[:24],
)
@virtual
async def test_a_body_is_said_in_four_ways(options, body, kind):
    pool = Scripted(Came())
    await Client(pool=pool).post("http://a/", **options)

    assert pool.sent[0].body == body
    assert pool.sent[0].header("content-type") == kind


@virtual
async def test_a_body_comes_in_pieces():
    pool = Scripted(Came())
    await Client(pool=pool).post("http://a/", content=pieces(b"a", b"b"))

    assert pool.sent[0].body == b"ab"


def test_a_file_is_read_beside_the_loop():
    pool = Scripted(Came())
    asyncio.run(Client(pool=pool).post("http://a/", content=io.BytesIO(b"x" * 100_000)))

    assert pool.sent[0].body == b"x" * 100_000


@pytest.mark.parametrize(
    "options",
    [{"json": 1, "content": b"x"}, {"json": 1, "data": {}}, {"content": 7}, {"data": b"x"}],
    ids=str,
)
@virtual
async def test_one_body_and_one_that_is_one(options):
    with pytest.raises(Misused):
        await Client(pool=Scripted(Came())).post("http://a/", **options)


# Answers.


@virtual
async def test_an_answer_has_httpx_names():
    answer = Came(
        201,
        [("content-type", "text/plain; charset=latin-1"), ("x-a", "1"), ("x-a", "2")],
        b"\xfc",
        "Created",
        trailers=[("x-sum", "9")],
    )
    response = await Client(pool=Scripted(answer)).get("http://n:p@a/x?q")

    assert (response.status_code, response.reason_phrase) == (201, "Created")
    assert response.http_version == "HTTP/1.1"
    assert response.headers["X-A"] == "1"
    assert response.headers.getlist("x-a") == ["1", "2"]
    assert response.content == b"\xfc"
    assert response.text == "\u00fc"
    assert response.encoding == "iso8859-1"
    assert str(response.url) == "http://a/x?q"
    assert response.trailers == [("x-sum", "9")]
    assert response.is_success
    assert not response.is_error
    assert response.raise_for_status() is response
    assert repr(response) == "<ClientResponse [201]>"


@pytest.mark.parametrize("kind", ["text/plain; charset=klingon", "text/plain", "x;;charset", None])
@virtual
async def test_text_is_utf8_where_nothing_better_is_known(kind):
    headers = [] if kind is None else [("content-type", kind)]
    response = await Client(pool=Scripted(Came(200, headers, b"\xc3\xbc\xff"))).get("http://a/")

    assert response.text == "\u00fc\ufffd"
    response.encoding = "latin-1"
    assert response.text == "\xc3\xbc\xff"


@given(
    st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30)
    | st.from_regex(r"text/plain; ?charset\*?=.{0,12}", fullmatch=True)
    | st.sampled_from(
        [
            "text/x; charset=base64",
            "text/x; charset=hex",
            "text/x; charset=idna",
            "x; charset=rot13",
        ]
    )
)
def test_whatever_kind_it_says_it_is_it_has_a_text(kind):
    answer = Came(200, [("content-type", kind.replace("\n", " "))], b"text \xff")
    response = asyncio.run(Client(pool=Scripted(answer)).get("http://a/"))

    assert isinstance(response.text, str)
    with suppress(BadAnswer):
        response.json()


@virtual
async def test_json_is_decoded_into_types():
    response = await Client(pool=Scripted(json_answer())).get("http://a/")

    assert response.json() == {"sku": 7}
    assert response.decode(Order) == Order(7)
    assert response.decode(dict[str, int]) == {"sku": 7}


@virtual
async def test_json_in_another_encoding_is_json():
    body = '"\u00fc"'.encode("utf-16")
    answer = Came(200, [("content-type", "application/json; charset=utf-16")], body)

    assert (await Client(pool=Scripted(answer)).get("http://a/")).json() == "\u00fc"


@virtual
async def test_pydantic_models_are_taken():
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        sku: int

    pool = Scripted(json_answer(), json_answer(b"{}"))
    client = Client(pool=pool)

    assert (await client.get("http://a/")).decode(Model).sku == 7
    with pytest.raises(BadAnswer, match="sku"):
        (await client.get("http://a/")).decode(Model)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"sku": "x"}', r"GET http://a/orders was answered 200 OK.*Expected `int`.*\$\.sku"),
        (b"{}", "missing required field `sku`"),
        (b"<html>", r"no JSON \(application/json\)"),
        (b"", "no JSON"),
    ],
    ids=["type", "missing", "html", "empty"],
)
@virtual
async def test_an_answer_that_is_not_the_agreed_one_says_whose_and_where(body, says):
    response = await Client(pool=Scripted(json_answer(body))).get("http://a/orders?token=secret")

    with pytest.raises(BadAnswer, match=says) as found:
        response.decode(Order)
    assert "secret" not in str(found.value)


@virtual
async def test_octets_that_are_no_text_are_no_json():
    response = await Client(pool=Scripted(json_answer(b'"\xff"'))).get("http://a/")

    with pytest.raises(BadAnswer, match="no JSON"):
        response.json()


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "GET http://a/x was answered 404 Not Found"), (599, "answered 599 Odd")],
)
@virtual
async def test_a_status_is_raised_where_it_is_asked_for(status, says):
    answer = Came(status, [("retry-after", "3")], b"why", "Odd")
    response = await Client(pool=Scripted(answer)).get("http://a/x?secret")

    with pytest.raises(StatusError, match=says) as found:
        response.raise_for_status()
    assert found.value.status_code == status
    assert found.value.response.text == "why"
    assert found.value.retry_after == 3
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", pytest.approx(2.3e9, rel=0.5)),
        ("Fri, 01 Jan 1999 00:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("\u0661", None),
    ],
)
@virtual
async def test_how_long_to_wait_is_read(told, seconds):
    response = await Client(pool=Scripted(Came(503, [("retry-after", told)]))).get("http://a/")

    with pytest.raises(StatusError) as found:
        response.raise_for_status()
    assert found.value.retry_after == seconds


# Streams.


@virtual
async def test_a_streamed_body_is_read_once_and_given_back():
    answer = Came(pieces=[b"a", b"b"])
    pool = Scripted(answer)
    async with Client(pool=pool).stream("GET", "http://a/") as response:
        with pytest.raises(Misused):
            response.text  # noqa: B018
        assert [piece async for piece in response.aiter_bytes()] == [b"a", b"b"]
        with pytest.raises(Misused):
            await response.aread()
        assert not answer.closed

    assert pool.sent[0].stream
    assert answer.closed


@virtual
async def test_a_streamed_body_can_be_read_whole():
    answer = Came(pieces=[b'{"sku"', b": 7}"])
    async with Client(pool=Scripted(answer)).stream("GET", "http://a/") as response:
        assert await response.aread() == b'{"sku": 7}'
        assert response.decode(Order) == Order(7)
        assert [piece async for piece in response.aiter_bytes()] == [b'{"sku": 7}']


@virtual
async def test_a_body_that_is_read_whole_has_a_bound():
    answer = Came(pieces=[b"x" * 60, b"x" * 60])
    client = Client(pool=Scripted(answer), body_bytes=100)
    async with client.stream("GET", "http://a/") as response:
        with pytest.raises(AnswerTooLarge):
            await response.aread()


@virtual
async def test_a_stream_is_given_back_whatever_ends_its_block():
    answer = Came(pieces=[b"a"])
    with pytest.raises(ZeroDivisionError):
        async with Client(pool=Scripted(answer)).stream("GET", "http://a/"):
            1 / 0  # noqa: B018

    assert answer.closed


@pytest.mark.parametrize("cut", range(1, 9))
@virtual
async def test_lines_are_cut_wherever_the_pieces_are(cut):
    text = "one\r\ntwo\n\nthr\u00e9\u00e9\rfour\r\n\r\nlast".encode()
    answer = Came(pieces=[text[at : at + cut] for at in range(0, len(text), cut)])
    async with Client(pool=Scripted(answer)).stream("GET", "http://a/") as response:
        found = [line async for line in response.aiter_lines()]

    assert found == ["one", "two", "", "thr\u00e9\u00e9", "four", "", "last"]


@virtual
async def test_a_line_without_an_end_has_a_bound():
    answer = Came(pieces=[b"x" * 60] * 3)
    client = Client(pool=Scripted(answer), body_bytes=100)
    async with client.stream("GET", "http://a/") as response:
        with pytest.raises(AnswerTooLarge):
            [line async for line in response.aiter_lines()]


# Time.


@virtual
async def test_a_stream_may_take_long_but_not_be_silent():
    class Slow(Came):
        async def __aiter__(self):
            for wait in (3, 3, 3, 6):
                await asyncio.sleep(wait)
                yield b"x"

    client = Client(pool=Scripted(Slow(headers=[])))
    found = []
    with pytest.raises(DeadlineExceeded, match="5 s of silence"):
        async with client.stream("GET", "http://a/", timeout=5) as response:
            async for piece in response.aiter_bytes():
                found.append(piece)  # noqa: PERF401
    assert len(found) == 3

    async with client.stream("GET", "http://a/", timeout=None) as response:
        assert await response.aread() == b"xxxx"


@virtual
async def test_a_call_has_fifteen_seconds_unless_it_says_otherwise():
    pool = Scripted(Came())
    client = Client(pool=pool)
    await client.get("http://a/")
    await client.get("http://a/", timeout=1)
    await client.get("http://a/", timeout=None)
    await Client(pool=pool, timeout=2).get("http://a/")

    assert [sent.timeout for sent in pool.sent] == [15.0, 1, None, 2]


@virtual
async def test_what_is_left_of_the_deadline_goes_along():
    pool = Scripted(Came())
    client = Client(pool=pool)
    with deadline(0.3):
        await client.get("http://a/")
        await client.get("http://a/", timeout=0.1)
        await client.post("http://a/", json=1)
        await Client(pool=pool, propagate=False).get("http://a/")
    await client.get("http://a/")
    told = [sent.header("x-envoy-expected-rq-timeout-ms") for sent in pool.sent]

    assert told == ["300", "100", "300", None, None]


@virtual
async def test_a_call_that_nobody_would_wait_for_is_not_made():
    pool = Scripted(Came())
    with pytest.raises(DeadlineExceeded), deadline(0.0005):
        await Client(pool=pool).get("http://a/")

    assert pool.sent == []


# The whole.


@virtual
async def test_it_counts():
    pool = Scripted(Came(), ConnectError("refused"), Came(500))
    client = Client("http://a", pool=pool)
    await client.get("/")
    with pytest.raises(ConnectError):
        await client.get("/")
    await client.get("/", timeout=1)
    found = client.statistics()

    assert (found.calls, found.failures, found.running) == (3, 1, 0)
    assert found.pool == "scripted"
    assert found.upstream is None


@pytest.mark.parametrize("options", [{}, {"timeout": 1}])
@virtual
async def test_a_call_runs_until_it_is_given_up(options):
    entered = asyncio.Event()

    async def silent():
        entered.set()
        await asyncio.Event().wait()

    client = Client("http://a", pool=Scripted(lambda sent: silent()))
    asking = asyncio.create_task(client.get("/", **options))
    await entered.wait()
    during = client.statistics()
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    after = client.statistics()

    assert (during.calls, during.failures, during.running) == (1, 0, 1)
    assert (after.calls, after.failures, after.running) == (1, 1, 0)


@virtual
async def test_it_tells_metrics():
    client = Client("http://orders:8000", pool=Scripted(Came(), ConnectError("refused")))
    await client.get("/")
    with pytest.raises(ConnectError):
        await client.get("/")
    own = Client("http://orders:8000")

    assert dict(client.figures()) == {
        'client_calls_total{client="orders:8000"}': 2,
        'client_failures_total{client="orders:8000"}': 1,
        'client_running{client="orders:8000"}': 0,
    }
    assert dict(own.figures())['client_connections{client="orders:8000"}'] == 0


@virtual
async def test_it_warms_its_base_and_closes_what_it_opened():
    pool = Scripted(Came())
    async with Client("http://a", pool=pool) as client:
        await client.warm(3)

    assert pool.warmed[0][1] == 3
    assert pool.closed == 0  # it is shared: whoever made it closes it
    with pytest.raises(Misused):
        await Client(pool=pool).warm()
