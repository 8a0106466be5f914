import http.cookies

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import Response
from megahertz.errors import LocalProtocolError
from megahertz.http.cookies import parse


def sent(name, value, **options):
    response = Response()
    response.set_cookie(name, value, **options)
    return response.headers["set-cookie"]


LATIN = st.text(st.characters(max_codepoint=255))
TOKENS = st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}", fullmatch=True).filter(
    lambda name: not name.startswith("__")
)


@given(st.dictionaries(TOKENS, LATIN, max_size=5))
def test_what_is_set_is_what_comes_back(values):
    pairs = [sent(name, value).partition(";")[0] for name, value in values.items()]

    assert parse([(b"cookie", "; ".join(pairs).encode("latin-1"))]) == values


@given(LATIN)
def test_python_and_starlette_read_the_same(value):
    jar = http.cookies.SimpleCookie(sent("a", value).partition(";")[0])

    assert jar["a"].value == value


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;a=3", {"a": "1", "b": "2"}),
        ("a=b=c; d=", {"a": "b=c", "d": ""}),
        ('a="b"; c="; d="x', {"a": "b", "c": '"', "d": '"x'}),
        ('a="\\073\\"\\\\"', {"a": ';"\\'}),
        ("=x; y; a b=1; a\t=2; ;", {"a": "2"}),
        ("__Host-a=1; n\xe9=2", {"__Host-a": "1"}),
        ("", {}),
    ],
    ids=["two", "first", "equals", "quotes", "escapes", "no names", "prefix", "empty"],
)
def test_a_header_is_read(line, found):
    assert parse([(b"x", b"y=1"), (b"cookie", line.encode("latin-1"))]) == found


def test_cookies_may_come_in_several_fields():
    """HTTP/2 splits them (RFC 9113 section 8.2.3)."""
    assert parse([(b"cookie", b"a=1"), (b"cookie", b"b=2; a=3")]) == {"a": "1", "b": "2"}


def test_every_attribute():
    line = sent(
        "__Host-sid",
        "x",
        max_age=60,
        expires="Sat, 21 Nov 2026 00:00:00 GMT",
        secure=True,
        httponly=True,
        samesite="none",
        partitioned=True,
    )
    assert line == (
        "__Host-sid=x; Expires=Sat, 21 Nov 2026 00:00:00 GMT; Max-Age=60; Path=/; SameSite=None; "
        "HttpOnly; Secure; Partitioned"
    )


@pytest.mark.parametrize(
    ("name", "value", "options", "told"),
    [
        ("a b", "", {}, "token"),
        ("", "", {}, "token"),
        ("a", "\u20ac", {}, "latin-1"),
        ("a", "", {"samesite": "none"}, "secure=True"),
        ("a", "", {"samesite": "Lax"}, "samesite is"),
        ("a", "", {"partitioned": True}, "secure=True"),
        ("__Secure-a", "", {}, "__Secure-"),
        ("__Host-a", "", {"secure": True, "path": "/x"}, "__Host-"),
        ("__host-a", "", {"secure": True, "domain": "a.example"}, "__Host-"),
        ("a", "", {"path": "/; HttpOnly"}, "Path"),
        ("a", "", {"domain": "a\r\nb"}, "Domain"),
    ],
)
def test_what_browsers_would_not_store_is_refused(name, value, options, told):
    with pytest.raises(LocalProtocolError, match=told):
        sent(name, value, **options)


def test_a_cookie_is_deleted_with_the_attributes_it_was_set_with():
    response = Response()
    response.delete_cookie("__Host-a", secure=True, httponly=True, samesite="strict")
    assert "Max-Age=0; Path=/; SameSite=Strict; HttpOnly; Secure" in response.headers["set-cookie"]
