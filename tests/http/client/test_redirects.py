"""Redirects: by whom they are followed, as what, and with what of the request."""

import asyncio
import io

import pytest

from megahertz import Client
from megahertz.errors import BadAnswer, DeadlineExceeded
from tests.virtual import virtual

from .pools import Came, Scripted


def to(where, status=302, **more):
    return Came(status, [("location", where)], **more)


@virtual
async def test_they_are_not_followed_unless_it_is_said_so():
    response = await Client(pool=Scripted(to("/y"))).get("http://a/x")

    assert response.status_code == 302
    assert response.is_redirect
    assert response.history == ()


@pytest.mark.parametrize("made", [{"follow_redirects": True}, {}])
@virtual
async def test_they_are_followed(made):
    pool = Scripted(to("/y?q"), to("z#f"), Came(body=b"there"))
    response = await Client(pool=pool, **made).get(
        "http://a/x", **({} if made else {"follow_redirects": True})
    )

    assert response.text == "there"
    assert str(response.url) == "http://a/z#f"
    assert [sent.target for sent in pool.sent] == ["/x", "/y?q", "/z"]
    assert [str(each.url) for each in response.history] == ["http://a/x", "http://a/y?q"]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (301, "PUT", "PUT"),
        (302, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "HEAD", "HEAD"),
        (303, "DELETE", "GET"),
        (307, "DELETE", "DELETE"),
    ],
)
@virtual
async def test_what_the_request_becomes(status, method, then):
    """RFC 9110 section 15.4."""
    pool = Scripted(to("/y", status), Came())
    client = Client(pool=pool, follow_redirects=True)
    await client.request(method, "http://a/x", content=b"body", headers={"content-type": "x/y"})
    second = pool.sent[1]

    assert second.method == then
    assert second.body == (None if then != method else b"body")
    assert second.header("content-type") == (None if then != method else "x/y")


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("http://a/", "http://a/y", True),
        ("http://a:80/", "http://a/y", True),
        ("http://a/", "https://a/y", True),
        ("https://a/", "http://a/y", False),
        ("http://a/", "http://b/y", False),
        ("http://a/", "http://a:8080/y", False),
        ("http://a:8080/", "https://a:8443/y", False),
        ("http://a/", "http://sub.a/y", False),
    ],
)
@virtual
async def test_credentials_stay_with_whom_they_are_for(before, after, kept):
    pool = Scripted(to(after), Came())
    client = Client(pool=pool, follow_redirects=True)
    await client.get(before, auth="token", headers={"cookie": "a=1", "proxy-authorization": "p"})
    second = pool.sent[1]

    assert second.header("authorization") == ("Bearer token" if kept else None)
    assert second.header("proxy-authorization") == ("p" if kept else None)
    assert second.header("cookie") is None  # the jar says which ones


@virtual
async def test_a_location_cannot_bring_credentials():
    pool = Scripted(to("http://n:p@b/y"), Came())
    await Client(pool=pool, follow_redirects=True).get("http://a/")

    assert pool.sent[1].header("authorization") is None


@virtual
async def test_a_host_that_was_named_is_not_the_next_ones():
    pool = Scripted(to("http://b/y"), Came())
    await Client(pool=pool, follow_redirects=True).get("http://a/", headers={"host": "secret"})

    assert pool.sent[1].header("host") is None


@virtual
async def test_there_is_an_end_to_it():
    pool = Scripted(to("/x"))
    with pytest.raises(BadAnswer, match="more than 20 redirects"):
        await Client(pool=pool, follow_redirects=True).get("http://a/x")
    assert len(pool.sent) == 21

    with pytest.raises(BadAnswer, match="more than 0"):
        await Client(pool=pool, follow_redirects=True, max_redirects=0).get("http://a/x")


@pytest.mark.parametrize("where", ["ftp://a/", "javascript:x", "http://a:99999/", "http://a b/"])
@virtual
async def test_one_that_leads_nowhere_is_told(where):
    with pytest.raises(BadAnswer, match="redirects to"):
        await Client(pool=Scripted(to(where)), follow_redirects=True).get("http://a/x")


@virtual
async def test_a_location_in_utf8_is_understood():
    pool = Scripted(to("/\u00fc".encode().decode("latin-1")), Came())
    await Client(pool=pool, follow_redirects=True).get("http://a/x")

    assert pool.sent[1].target == "/%C3%BC"


@virtual
async def test_without_a_location_there_is_nowhere_to_go():
    response = await Client(pool=Scripted(Came(302)), follow_redirects=True).get("http://a/")

    assert response.status_code == 302
    assert not response.is_redirect


@virtual
async def test_a_body_that_was_read_cannot_go_along():
    async def body():
        yield b"x"

    pool = Scripted(to("/y", 307))
    with pytest.raises(BadAnswer, match="read already"):
        await Client(pool=pool, follow_redirects=True).post("http://a/", content=body())


@pytest.mark.parametrize(("file", "times"), [(io.BytesIO(b"xyz"), 2), (None, 1)])
def test_a_file_goes_along_where_it_can_be_set_back(file, times):
    pool = Scripted(to("/y", 307), Came())
    call = Client(pool=pool, follow_redirects=True).post(
        "http://a/", files={"a": file or _Unseekable(b"xyz")}
    )
    if times == 1:
        with pytest.raises(BadAnswer, match="read already"):
            asyncio.run(call)
    else:
        asyncio.run(call)

    assert [b"xyz" in sent.body for sent in pool.sent] == [True] * times


@virtual
async def test_cookies_for_anybody_are_not_for_strangers():
    pool = Scripted(to("http://b/y"), to("/z"), Came())
    client = Client(pool=pool, follow_redirects=True, cookies={"a": "1"})
    client.cookies.set("b", "2", domain="c.local")
    await client.get("http://a.local/", cookies={"c": "3"})

    assert pool.sent[0].header("cookie") == "a=1; c=3"
    assert [sent.header("cookie") for sent in pool.sent[1:]] == [None, None]


class _Unseekable(io.RawIOBase):
    def __init__(self, data):
        self._data = data

    def read(self, size=-1):
        data, self._data = self._data, b""
        return data


@virtual
async def test_the_answers_between_are_given_back():
    first = to("/y")
    pool = Scripted(first, Came(pieces=[b"x"]))
    client = Client(pool=pool, follow_redirects=True)
    async with client.stream("GET", "http://a/") as response:
        assert first.closed
        assert await response.aread() == b"x"


@virtual
async def test_all_of_them_share_one_timeout():
    async def slow(sent):
        await asyncio.sleep(4)
        return to("/x")

    pool = Scripted(slow)
    with pytest.raises(DeadlineExceeded):
        await Client(pool=pool, follow_redirects=True, timeout=10).get("http://a/")

    assert [sent.timeout for sent in pool.sent] == [10, 6, 2]
