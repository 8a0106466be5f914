import asyncio

import httpx
import pytest

from megahertz import (
    CORS,
    GCRA,
    App,
    HTTPError,
    HTTPSRedirect,
    JSONResponse,
    Policy,
    Response,
    Router,
    StreamingResponse,
    TrustedHosts,
    WebSocket,
)
from megahertz.errors import BadSettings
from megahertz.testing import Client

SHOP, EVIL = "https://shop.example", "https://evil.example"
SHARED = JSONResponse({"shared": True}, headers={"vary": "accept-encoding"})


def make(layer=None, *, router=False):
    layer = layer or CORS([SHOP], allow_headers=["X-Token"], expose_headers=["x-total"])
    app = App(layers=[] if router else [layer])
    part = Router(layers=[layer]) if router else app

    @part.get("/items/{sku}")
    async def item(sku: int) -> int:
        return sku

    @part.get("/shared")
    async def shared() -> Response:
        return SHARED

    @part.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    @part.get("/refused")
    async def refused() -> None:
        raise HTTPError(409, "no")

    @part.get("/broken")
    async def broken() -> None:
        raise ValueError("a bug")

    @part.get("/late", policy=Policy(deadline=0.01))
    async def late() -> None:
        await asyncio.Event().wait()

    @part.get("/limited", policy=Policy(limit=GCRA(1, per=60)))
    async def limited() -> str:
        return "ok"

    @part.route("/own", methods=["GET", "OPTIONS"])
    async def own() -> str:
        return "mine"

    if router:
        app.include(part)
    return app


def preflight(client, path, *, origin=SHOP, method="GET", headers=None):
    fields = {"origin": origin, "access-control-request-method": method}
    if headers is not None:
        fields["access-control-request-headers"] = headers
    return client.options(path, headers=fields)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/items/1", 200),
        ("/items/x", 422),
        ("/shared", 200),
        ("/stream", 200),
        ("/refused", 409),
        ("/broken", 500),
        ("/late", 504),
        ("/own", 200),
        ("/nope", 404),
    ],
)
def test_every_answer_may_be_read_by_who_is_allowed(path, status):
    with Client(make()) as client:
        mine = client.get(path, headers={"origin": SHOP})
        evil = client.get(path, headers={"origin": EVIL})
        none = client.get(path)
    for reply in (mine, evil, none):
        assert reply.status_code == status
        assert "origin" in reply.headers["vary"].lower()
    assert mine.headers["access-control-allow-origin"] == SHOP
    assert mine.headers["access-control-expose-headers"] == "x-total"
    for reply in (evil, none):
        assert not [name for name in reply.headers if name.startswith("access-control")]


def test_limits_and_other_methods_too():
    with Client(make()) as client:
        replies = [client.get("/limited", headers={"origin": SHOP}) for _ in range(2)]
        replies.append(client.post("/limited", headers={"origin": SHOP}))
    assert [reply.status_code for reply in replies] == [200, 429, 405]
    assert all(reply.headers["access-control-allow-origin"] == SHOP for reply in replies)
    assert replies[2].headers["allow"] == "GET, OPTIONS, HEAD"


def test_an_answer_that_is_shared_is_left_as_it_is():
    before = SHARED.raw_headers
    with Client(make()) as client:
        for origin in (SHOP, EVIL, SHOP):
            client.get("/shared", headers={"origin": origin})
    assert SHARED.raw_headers == before


@pytest.mark.parametrize("router", [False, True], ids=["app", "router"])
@pytest.mark.parametrize("path", ["/items/1", "/late", "/limited", "/own", "/broken"])
def test_a_preflight_is_answered_without_the_handler(path, router):
    with Client(make(router=router)) as client:
        for _ in range(3):
            reply = preflight(client, path, headers="X-Token, content-type")
            assert (reply.status_code, reply.content) == (204, b"")
        assert reply.headers["access-control-allow-origin"] == SHOP
        assert reply.headers["access-control-allow-methods"] == "GET"
        assert reply.headers["access-control-allow-headers"] == "x-token, content-type"
        assert reply.headers["access-control-max-age"] == "600"
        vary = ", ".join(value for name, value in reply.raw_headers if name == "vary")
        assert set(vary.split(", ")) == {
            "origin",
            "access-control-request-method",
            "access-control-request-headers",
        }


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"origin": EVIL}, "origin https://evil.example"),
        ({"origin": "null"}, "origin null"),
        ({"origin": SHOP + "."}, "origin"),
        ({"origin": "http://shop.example"}, "origin"),
        ({"method": "DELETE"}, "method DELETE"),
        ({"headers": "x-other"}, "header field x-other"),
    ],
)
def test_a_preflight_for_what_is_not_allowed_is_refused_with_the_reason(options, told):
    with Client(make()) as client:
        reply = preflight(client, "/items/1", **options)
        assert reply.status_code == 403
        assert told in reply.json()["detail"]
        assert "access-control-allow-methods" not in reply.headers


def test_options_that_are_no_preflight():
    with Client(make()) as client:
        assert client.options("/own").text == "mine"
        assert client.options("/items/1", headers={"origin": SHOP}).status_code == 405
        assert preflight(client, "/nope").status_code == 204  # who reads the 404 asks first


def test_everybody_is_a_star_and_does_not_vary():
    with Client(make(CORS(["*"], allow_methods=["*"], allow_headers=["*"]))) as client:
        reply = client.get("/items/1", headers={"origin": EVIL})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "vary" not in reply.headers
        assert preflight(client, "/items/1", method="PURGE", headers="x-any").status_code == 204


def test_credentials_name_the_origin():
    layer = CORS(
        [SHOP], allow_origin_regex=r"https://[a-z]+\.shop\.example", allow_credentials=True
    )
    with Client(make(layer)) as client:
        for origin in (SHOP, "https://eu.shop.example"):
            reply = client.get("/items/1", headers={"origin": origin})
            assert reply.headers["access-control-allow-origin"] == origin
            assert reply.headers["access-control-allow-credentials"] == "true"
        for origin in ("https://eu.shop.example.evil.example", "https://x.eu.shop.example"):
            reply = client.get("/items/1", headers={"origin": origin})
            assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    ("origins", "options"),
    [
        ([], {}),
        (["*"], {"allow_credentials": True}),
        ([SHOP], {"allow_credentials": True, "allow_methods": ["*"]}),
        ([SHOP], {"allow_credentials": True, "allow_headers": ["*"]}),
        ([SHOP], {"allow_credentials": True, "expose_headers": ["*"]}),
        ([SHOP + "/"], {}),
        (["shop.example"], {}),
        (["https://Shop.example"], {}),
        (["https://*.shop.example"], {"allow_headers": ["a b"]}),
        (SHOP, {}),
        ([], {"allow_origin_regex": "("}),
    ],
)
def test_what_would_allow_too_much_or_nothing_is_refused_at_once(origins, options):
    with pytest.raises(BadSettings, match="CORS"):
        CORS(origins, **options)


async def test_under_another_server_too():
    transport = httpx.ASGITransport(make(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in ("/nope", "/items/x", "/late", "/broken"):
            reply = await client.get(path, headers={"origin": SHOP})
            assert reply.headers["access-control-allow-origin"] == SHOP
        assert (await preflight(client, "/items/1")).status_code == 204
        assert (await client.post("/items/1")).headers["allow"] == "GET, OPTIONS, HEAD"


def hosted(layer):
    app = App(layers=[layer])
    app.get("/a b")(lambda: "ok")
    app.get("/x")(lambda: "ok")
    return app


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.example", 200),
        ("Shop.Example:8000", 200),
        ("eu.shop.example", 200),
        ("[::1]:80", 200),
        ("evil.example", 400),
        ("shop.example.evil.example", 400),
        ("evilshop.example", 400),
        ("[::2]", 400),
    ],
)
def test_only_our_names_are_served(host, status):
    with Client(hosted(TrustedHosts(["shop.example", "*.shop.example", "[::1]"]))) as client:
        assert client.get("/x", headers={"host": host}).status_code == status


@pytest.mark.parametrize("allowed", [[], "shop.example", ["a:80"], ["https://a"], ["a*"], ["*."]])
def test_names_that_are_none_are_refused(allowed):
    with pytest.raises(BadSettings, match="TrustedHosts"):
        TrustedHosts(allowed)


def test_clear_text_is_sent_to_https():
    with Client(hosted(HTTPSRedirect())) as client:
        reply = client.get("/x?a=%20", headers={"host": "shop.example:80"})
        assert (reply.status_code, reply.headers["location"]) == (
            308,
            "https://shop.example/x?a=%20",
        )
    with Client(hosted(HTTPSRedirect(port=8443))) as client:
        location = client.get("/x", headers={"host": "a"}).headers["location"]
        assert location == "https://a:8443/x"


def test_websockets_pass():
    app = App(layers=[CORS([SHOP]), TrustedHosts(["testserver"])])

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send(websocket.method)

    with Client(app) as client, client.websocket_connect("/ws") as websocket:
        assert websocket.receive_text() == "GET"
