"""The overview: who may see it, and what it is sent."""

import http.client
import json
import re

import pytest

from megahertz import App
from megahertz.errors import BadSettings
from megahertz.http import Overview
from megahertz.observe import Tracing
from megahertz.testing import Client

TOKEN = "a-token-of-24-characters"


def shop(**options):
    app = App(title="<shop> & co", overview=Overview(**options))

    @app.get("/items/{sku}")
    async def item(sku: int) -> int:
        return sku

    return app


def first(client, **headers):
    """The first picture of a stream, or the status that refuses it."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    try:
        connection.request("GET", "/_mhz/live", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            return answer.status
        assert answer.headers["content-type"].startswith("text/event-stream")
        return json.loads(answer.readline().removeprefix(b"data: "))
    finally:
        connection.close()


def test_it_shows_what_was_counted():
    with Client(shop()) as client:
        for sku in range(3):
            client.get(f"/items/{sku}")
        picture = first(client)
    (route,) = picture["routes"]
    assert (route["route"], route["total"]) == ("GET /items/{sku}", 3)
    (worker,) = picture["workers"]
    assert worker["memory"] > 1 << 20
    assert worker["blocked"] is None


def test_the_page_is_whole_and_says_what_it_may_do():
    with Client(shop()) as client:
        page = client.get("/_mhz/")
    assert "<title>&lt;shop&gt; &amp; co · overview</title>" in page.text
    assert 'data-guarded="false"' in page.text
    assert not re.search(r"""(src|href)=["'](?!data:,)""", page.text)
    assert "innerHTML" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8000"}, 200),
        ({"host": "[::1]"}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "shop.localhost:80"}, 200),
        ({"host": "shop.example"}, 403),
        ({"host": "127.0.0.1.shop.example"}, 403),
        ({"x-forwarded-for": "1.2.3.4"}, 403),
        ({"forwarded": "for=1.2.3.4"}, 403),
        ({"via": "1.1 proxy"}, 403),
    ],
    ids=str,
)
def test_without_a_token_it_is_for_this_machine(headers, status):
    with Client(shop()) as client:
        assert client.get("/_mhz/", headers=headers).status_code == status
        found = first(client, **headers)
    assert (found == 403) == (status == 403)


def test_a_peer_from_elsewhere_sees_nothing():
    """As a proxy that is believed tells it."""
    from megahertz.http.overview import _is_loopback

    assert _is_loopback("127.8.9.1")
    assert not _is_loopback("10.0.0.1")
    assert not _is_loopback("localhost.example")


def test_with_a_token_it_is_for_who_shows_it():
    with Client(shop(token=TOKEN)) as client:
        host = {"host": "shop.example"}
        page = client.get("/_mhz/", headers=host)
        assert page.status_code == 200
        assert 'data-guarded="true"' in page.text
        assert first(client, **host) == 401
        assert first(client, authorization="Bearer " + "x" * 24, **host) == 401
        assert first(client, authorization="Bearer é", **host) == 401
        assert "workers" in first(client, authorization=f"Bearer {TOKEN}", **host)


def test_viewers_are_bounded():
    with Client(shop(viewers=1)) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
        connection.request("GET", "/_mhz/live")
        connection.getresponse().readline()
        assert first(client) == 503
        connection.close()


@pytest.mark.parametrize("wrong", [{"token": "short"}, {"viewers": 0}], ids=str)
def test_what_cannot_be_is_said_at_the_start(wrong):
    with pytest.raises(BadSettings, match="Overview"):
        Overview(**wrong)


def test_without_one_there_is_none():
    with Client(App()) as client:
        assert client.get("/_mhz/").status_code == 404
        assert client.get("/_mhz/live").status_code == 404


def test_it_is_not_in_the_document():
    assert not any("_mhz" in path for path in shop().openapi()["paths"])


def test_spans_of_a_trace_are_told_to_the_same():
    trace = "4bf92f3577b34da6a3ce929d0e0e4737"
    app = App(overview=Overview(token=TOKEN), layers=[Tracing(1.0, keep=8)])

    @app.get("/")
    async def page() -> str:
        return "ok"

    shown = {"authorization": f"Bearer {TOKEN}"}
    with Client(app) as client:
        client.get("/", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        assert client.get(f"/_mhz/trace?id={trace}").status_code == 401
        assert client.get("/_mhz/trace?id=x", headers=shown).status_code == 422
        (span,) = client.get(f"/_mhz/trace?id={trace}", headers=shown).json()
    assert (span["name"], span["trace"]) == ("GET /", trace)
