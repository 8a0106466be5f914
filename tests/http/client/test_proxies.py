"""Which way leads to an origin: what is told, and what the environment says."""

import asyncio

import pytest

from megahertz import Client
from megahertz.govern import Upstream
from megahertz.govern.balance import Group, Instance
from tests.virtual import virtual

from .pools import Came, Scripted

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD")


@pytest.fixture(autouse=True)
def _nothing(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "via"),
    [
        ({}, "http://a.example/", None),
        ({"HTTP_PROXY": "http://p:3128"}, "http://a.example/", "p:3128"),
        ({"http_proxy": "p:3128"}, "http://a.example/", "p:3128"),
        ({"HTTP_PROXY": "http://p:3128"}, "https://a.example/", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://a.example/", "p:3128"),
        ({"ALL_PROXY": "http://p"}, "https://a.example/", "p:80"),
        ({"ALL_PROXY": "http://p", "HTTP_PROXY": "http://q"}, "http://a.example/", "q:80"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "a.example"}, "http://a.example/", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": ".example"}, "http://a.example/", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "*"}, "http://a.example/", None),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "b.example"}, "http://a.example/", "p:80"),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "a.example:81"}, "http://a.example/", "p:80"),
        ({"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, "http://a.example/", None),
        ({"NO_PROXY": "x"}, "http://a.example/", None),
    ],
    ids=str,
)
def test_the_environment_says_which_way(environment, url, via, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    pool = Scripted(Came())
    asyncio.run(Client(pool=pool).get(url))
    asyncio.run(Client(pool=pool, trust_env=False).get(url))
    found = [sent.via and f"{sent.via.host}:{sent.via.port}" for sent in pool.sent]

    assert found == [via, None]


@virtual
async def test_one_that_is_told_leads_to_everybody():
    pool = Scripted(Came())
    client = Client(pool=pool, proxy="https://n:p@proxy:8443")
    await client.get("http://a.example/")
    via = pool.sent[0].via

    assert (via.scheme, via.host, via.port) == ("https", "proxy", 8443)
    assert via.headers == (("proxy-authorization", "Basic bjpw"),)
    assert pool.sent[0].header("proxy-authorization") is None


def test_instances_of_a_service_are_not_the_environments_business(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://p:3128")
    pool = Scripted(Came())
    upstream = Upstream(Group("orders", [Instance(host="10.0.0.7", port=80)]))
    asyncio.run(Client("http://orders", pool=pool, upstream=upstream).get("/"))
    asyncio.run(Client("http://orders", pool=pool, upstream=upstream).get("http://other/"))
    told = Client("http://orders", pool=pool, upstream=upstream, proxy="http://q:1")
    asyncio.run(told.get("/"))

    assert [sent.via and sent.via.host for sent in pool.sent] == [None, "p", "q"]
