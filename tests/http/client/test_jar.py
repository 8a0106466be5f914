"""Cookies: set by answers, sent to whom they belong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import Client
from megahertz.http.client import Cookies
from tests.virtual import virtual

from .pools import Came, Scripted


def sets(*cookies):
    return Came(200, [("set-cookie", cookie) for cookie in cookies])


@virtual
async def test_what_an_answer_sets_is_sent_from_then_on():
    pool = Scripted(sets("a=1; Path=/", "b=2; Path=/only"), Came())
    client = Client("http://shop.example", pool=pool)
    response = await client.get("/")
    await client.get("/x")
    await client.get("/only")

    assert dict(response.cookies) == {"a": "1", "b": "2"}
    assert dict(client.cookies) == {"a": "1", "b": "2"}
    assert pool.sent[0].header("cookie") is None
    assert pool.sent[1].header("cookie") == "a=1"
    assert sorted(pool.sent[2].header("cookie").split("; ")) == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("cookie", "url", "sent"),
    [
        ("a=1", "http://other.example/", False),
        ("a=1", "http://sub.shop.example/", False),
        ("a=1; Domain=shop.example", "http://sub.shop.example/", True),
        ("a=1; Domain=other.example", "http://other.example/", False),
        ("a=1; Secure", "http://shop.example/", False),
        ("a=1; Secure", "https://shop.example/", True),
        ("a=1; Max-Age=0", "http://shop.example/", False),
    ],
)
@virtual
async def test_to_whom_a_cookie_belongs(cookie, url, sent):
    pool = Scripted(sets(cookie), Came())
    client = Client(pool=pool)
    await client.get("https://shop.example/")
    await client.get(url)

    assert pool.sent[1].header("cookie") == ("a=1" if sent else None)


@virtual
async def test_redirects_set_cookies_too():
    first = Came(302, [("location", "/y"), ("set-cookie", "a=1")])
    pool = Scripted(first, Came())
    await Client(pool=pool, follow_redirects=True).get("http://shop.example/x")

    assert pool.sent[1].header("cookie") == "a=1"


@virtual
async def test_a_calls_own_cookies_are_its_own():
    pool = Scripted(Came())
    client = Client("http://shop.example", pool=pool, cookies={"a": "1"})
    await client.get("/", cookies={"b": "2"})
    await client.get("/")
    await client.get("/", headers={"cookie": "mine"})

    assert sorted(pool.sent[0].header("cookie").split("; ")) == ["a=1", "b=2"]
    assert pool.sent[1].header("cookie") == "a=1"
    assert pool.sent[2].header("cookie") == "mine"


@virtual
async def test_a_client_without_cookies_can_send_some_once():
    pool = Scripted(Came())
    client = Client("http://shop.example", pool=pool)
    await client.get("/", cookies={"b": "2"})
    await client.get("/")

    assert [sent.header("cookie") for sent in pool.sent] == ["b=2", None]


@given(
    st.lists(
        st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40)
        | st.from_regex(
            r"a=.{0,9}; (expires|max-age|path|domain|version|port|secure)=.{0,12}", fullmatch=True
        ),
        max_size=4,
    )
)
def test_whatever_is_set_ends_no_call(values):
    cookies = Cookies()
    cookies.read("http://shop.example/x", [("set-cookie", value) for value in values])
    cookies.sent_to("http://shop.example/x")


@virtual
async def test_a_client_of_many_users_keeps_none():
    pool = Scripted(sets("session=hers"), Came())
    client = Client("http://shop.example", pool=pool, keep_cookies=False)
    response = await client.get("/")
    await client.get("/")
    await client.get("/", cookies={"own": "1"})

    assert dict(response.cookies) == {"session": "hers"}
    assert dict(client.cookies) == {}
    assert [sent.header("cookie") for sent in pool.sent] == [None, None, "own=1"]


def test_they_are_a_mapping():
    cookies = Cookies({"a": "1"})
    cookies["b"] = "2"
    cookies.set("b", "3", domain="x.example")

    assert set(cookies) == {"a", "b"}
    assert len(cookies) == 2
    assert cookies["a"] == "1"
    assert Cookies(cookies.jar)["a"] == "1"
    del cookies["b"]
    assert dict(cookies) == {"a": "1"}
    with pytest.raises(KeyError):
        cookies["b"]
    with pytest.raises(KeyError):
        del cookies["b"]
    assert "1" not in repr(cookies)
