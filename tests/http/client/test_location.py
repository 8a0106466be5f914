"""URLs: what is asked of whom, and what is refused as it could be understood in two ways."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.errors import LocalProtocolError
from megahertz.http.client.location import joined, locate


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("https://a.example", "a.example", 443, "/"),
        ("HTTP://A.Example:8080/x", "a.example", 8080, "/x"),
        ("http://a.example:/x", "a.example", 80, "/x"),
        ("http://a.example?q=1", "a.example", 80, "/?q=1"),
        ("http://a.example/?", "a.example", 80, "/?"),
        ("http://a.example/x#frag", "a.example", 80, "/x"),
        ("http://[::1]:8000/", "::1", 8000, "/"),
        ("http://[2001:DB8::1]/", "2001:db8::1", 80, "/"),
        ("http://127.0.0.1/", "127.0.0.1", 80, "/"),
        ("http://b\u00fccher.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://my_service-1.local/", "my_service-1.local", 80, "/"),
        ("http://a/b c", "a", 80, "/b%20c"),
        ("http://a/b%20c%2Fd", "a", 80, "/b%20c%2Fd"),
        ("http://a/100%", "a", 80, "/100%"),
        ("http://a/\u00fc?\u00fc=\u00e4", "a", 80, "/%C3%BC?%C3%BC=%C3%A4"),
        ("http://a/a/./b/../c", "a", 80, "/a/c"),
        ("http://a/../../etc", "a", 80, "/etc"),
        ("http://a/a/..", "a", 80, "/"),
        ("http://a/a/%2e%2E/b/%2e/.%2ec", "a", 80, "/b/.%2ec"),
        ("http://a/.well-known/x", "a", 80, "/.well-known/x"),
        ("http://a/v1.2/x.json", "a", 80, "/v1.2/x.json"),
        ("http://a//b", "a", 80, "//b"),
        ("http://a/x?a=<b>", "a", 80, "/x?a=%3Cb%3E"),
        ("http://a/back\\slash", "a", 80, "/back%5Cslash"),
    ],
)
def test_a_url_is_taken_apart(url, host, port, target):
    place = locate(url)

    assert (place.origin.host, place.origin.port, place.target) == (host, port, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/x",
        "a.example/x",
        "ftp://a/",
        "http:/a/",
        "http:///x",
        "http://",
        "http://a:0/",
        "http://a:65536/",
        "http://a:99999999999/",
        "http://a:-1/",
        "http://a:8o/",
        "http://a: 80/",
        "http://a:\u0661/",
        "http://a b/",
        "http://a\\@b/",
        "http://a\\b/",
        "http://a%41/",
        "http://a,b/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[::1%25eth0]/",
        "http://[v1.x]/",
        "http://256.1.1.1/",
        "http://1.2.3/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://./",
        "http://xn--/",
        "http://a.xn--pokxncvks/",
        "http://a\u2024\u2024b/",
        "http://a/\r\nX: y",
        "http://a/\x00",
        "http://a\t.example/",
        "http://a/\x7f",
        "http://a/" + "x" * 65_536,
        "http://a/\ud800",
    ],
    ids=lambda url: ascii(url)[:30],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(LocalProtocolError):
        locate(url)


def test_credentials_are_told_by_a_field_and_nowhere_else():
    place = locate("http://user:p%40ss@a.example/x?q#f")

    assert place.basic == "Basic dXNlcjpwQHNz"
    assert place.url == "http://a.example/x?q#f"
    assert place.authority == "a.example"
    assert locate("http://a.example/").basic is None


def test_a_refusal_does_not_tell_the_password():
    with pytest.raises(LocalProtocolError) as found:
        locate("http://user:secret@a:0/")

    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("/y", "http://a.example/y"),
        ("y", "http://a.example/dir/y"),
        ("../y", "http://a.example/y"),
        ("?q", "http://a.example/dir/x?q"),
        ("//b.example/y", "http://b.example/y"),
        ("https://b.example", "https://b.example/"),
        ("", "http://a.example/dir/x"),
        ("y#own", "http://a.example/dir/y#own"),
    ],
)
def test_a_reference_leads_on(reference, url):
    assert joined("http://a.example/dir/x", reference).url == url


def test_a_fragment_goes_along():
    assert joined("http://a/x#f", "/y").url == "http://a/y#f"
    assert joined("http://a/x#f", "/y#g").url == "http://a/y#g"


@pytest.mark.parametrize(
    "reference", ["javascript:alert(1)", "http://a b/", "/x\r\ny", "http://[x"]
)
def test_a_reference_that_leads_nowhere_is_refused(reference):
    with pytest.raises(LocalProtocolError):
        joined("http://a/", reference)


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF), max_size=30)


@given(path=PRINTABLE, query=PRINTABLE)
def test_what_is_asked_can_be_a_request_line(path, query):
    """Whatever the text: no space, no control character, nothing beyond ASCII."""
    try:
        place = locate(f"http://a/{path}?{query}")
    except LocalProtocolError:
        return

    assert place.target.startswith("/")
    assert all("!" <= each <= "~" for each in place.target)
    assert locate(place.url) == place  # said again, it is the same


@given(path=PRINTABLE, query=PRINTABLE)
def test_httpx_asks_the_same(path, query):
    """But for a backslash, which no URL has (ours is encoded), and dots that are encoded."""
    text = f"http://a/{path}?{query}".replace("\\", "").replace("%2", "")
    try:
        theirs = httpx.URL(text).raw_path.decode()
    except httpx.InvalidURL:
        return
    try:
        ours = locate(text).target
    except LocalProtocolError:
        return

    assert ours == theirs
