"""Sessions of an application: what browsers are given, what they may try, what is saved."""

import asyncio
import re

import pytest

from megahertz import App, Request, Sessions, StreamingResponse, WebSocket
from megahertz.backends import Redis
from megahertz.cache import MemorySessions, RedisSessions, Remote
from megahertz.errors import BadSettings, HTTPError, Misused
from megahertz.http import Session, SessionMiddleware
from megahertz.testing import Client

KEY = "k" * 32


def shop(store=None, resources=(), **options):
    """Log in, look, change, log out."""
    sessions = Sessions(MemorySessions() if store is None else store, KEY, **options)
    app = App(layers=[sessions], resources=resources)

    @app.get("/login/{name}")
    async def login(request: Request, name: str) -> str:
        request.session.rotate()
        request.session["user"] = name
        return name

    @app.get("/visit")
    async def visit(request: Request) -> int:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return request.session["visits"]

    @app.get("/me")
    async def me(request: Request) -> dict:
        return dict(request.session)

    @app.get("/add/{sku}")
    async def add(request: Request, sku: int) -> list[int]:
        cart = request.session.setdefault("cart", [])
        cart.append(sku)
        return cart

    @app.get("/logout")
    async def logout(request: Request) -> None:
        request.session.revoke()

    @app.get("/plain")
    async def plain() -> str:
        return "nobody asks who"

    @app.get("/fails")
    async def fails(request: Request) -> None:
        request.session["user"] = "nobody"
        raise RuntimeError

    @app.get("/refuses")
    async def refuses(request: Request) -> None:
        request.session["refused"] = True
        raise HTTPError(403, "no")

    app.sessions = sessions
    return app


class Browser:
    """Keeps its cookie, as browsers do."""

    def __init__(self, client, cookie=None):
        self.client, self.cookie, self.said = client, cookie, None

    def get(self, path):
        headers = {} if self.cookie is None else {"cookie": self.cookie}
        reply = self.client.get(path, headers=headers)
        self.said = reply.headers.get("set-cookie")
        if self.said is not None:
            pair = self.said.partition(";")[0]
            self.cookie = None if "Max-Age=0" in self.said else pair
        return reply


def test_a_session_lasts_over_requests():
    with Client(shop()) as client:
        browser = Browser(client)
        assert [browser.get("/visit").json() for _ in range(3)] == [1, 2, 3]
        assert browser.said is None, "the cookie is told once"
        assert Browser(client).get("/visit").json() == 1


def test_the_cookie_is_what_it_should_be():
    with Client(shop()) as client:
        browser = Browser(client)
        reply = browser.get("/visit")
        assert re.fullmatch(
            r"__Host-session=[\w-]{43}\.[\w-]{43}; Path=/; SameSite=Lax; HttpOnly; Secure",
            browser.said,
        )
        assert reply.headers["vary"] == "cookie"
        reply = browser.get("/plain")
        assert "vary" not in reply.headers and "set-cookie" not in reply.headers
    options = {"secure": False, "samesite": "strict", "path": "/shop", "max_age": 60}
    with Client(shop(**options)) as client:
        browser = Browser(client)
        browser.get("/visit")
        assert browser.said.partition("; ")[2] == (
            "Max-Age=60; Path=/shop; SameSite=Strict; HttpOnly"
        )
        browser.get("/me")
        assert "Max-Age=60" in browser.said, "it slides as the session does"


def test_nobody_has_a_session_who_only_looks():
    store = MemorySessions()
    with Client(shop(store)) as client:
        reply = client.get("/me")
        assert reply.json() == {} and "set-cookie" not in reply.headers
        assert reply.headers["vary"] == "cookie"
    assert len(store._kept) == 0


def test_a_planted_session_is_not_logged_in():
    """Fixation: the attacker's own cookie in the victim's browser, before the victim logs in."""
    with Client(shop()) as client:
        attacker = Browser(client)
        attacker.get("/visit")
        victim = Browser(client, attacker.cookie)
        victim.get("/login/ada")
        assert victim.cookie != attacker.cookie
        assert victim.get("/me").json() == {"visits": 1, "user": "ada"}
        assert attacker.get("/me").json() == {}, "the old token is worth nothing"


def test_a_token_of_ones_own_choice_is_not_adopted():
    """Though it is well signed: it is looked up, and there is none."""
    app = shop()
    with Client(app) as client:
        chosen = f"__Host-session={app.sessions.signed('a' * 43)}"
        browser = Browser(client, chosen)
        assert browser.get("/visit").json() == 1
        assert browser.cookie != chosen and "a" * 43 not in browser.cookie


def tampered(value):
    token, _, signature = value.partition(".")
    yield "another token", f"{'A' * len(token)}.{signature}"
    yield "another signature", f"{token}.{'A' * len(signature)}"
    yield "no signature", token
    yield "an empty one", f"{token}."
    yield "swapped", f"{signature}.{token}"
    yield "cut", value[:-1]
    yield "longer", value + "A"
    yield "twice", f"{value}.{signature}"
    yield "not ASCII", f"{token}.{signature[:-1]}\xe9"
    yield "nothing", ""
    yield "long", "A" * 4000
    yield "quoted", f'"{value}\\073"'


def test_a_cookie_that_was_changed_is_none():
    with Client(shop()) as client:
        browser = Browser(client)
        browser.get("/login/ada")
        name, _, value = browser.cookie.partition("=")
        for what, bad in tampered(value):
            assert Browser(client, f"{name}={bad}").get("/me").json() == {}, what
        other = Sessions(MemorySessions(), "o" * 32)
        assert (
            Browser(client, f"{name}={other.signed(value.partition('.')[0])}").get("/me").json()
            == {}
        )
        elsewhere = Sessions(MemorySessions(), KEY, cookie="else")
        moved = elsewhere.signed(value.partition(".")[0])
        assert Browser(client, f"{name}={moved}").get("/me").json() == {}
        assert browser.get("/me").json() == {"user": "ada"}


def test_keys_can_be_changed():
    old, new = (
        Sessions(MemorySessions(), "o" * 32),
        Sessions(MemorySessions(), ["n" * 32, "o" * 32]),
    )
    assert new.token(old.signed("t")) == new.token(new.signed("t")) == "t"
    assert old.token(new.signed("t")) is None


def test_who_logs_out_is_out():
    store = MemorySessions()
    with Client(shop(store)) as client:
        browser = Browser(client)
        browser.get("/login/ada")
        before = browser.cookie
        browser.get("/logout")
        assert browser.cookie is None and "Max-Age=0" in browser.said and "Secure" in browser.said
        assert Browser(client, before).get("/me").json() == {}
        assert len(store._kept) == 0
        assert "set-cookie" not in Browser(client).get("/logout").headers


def test_what_is_changed_in_place_is_saved():
    with Client(shop()) as client:
        browser = Browser(client)
        assert [browser.get(f"/add/{sku}").json() for sku in (1, 2)] == [[1], [1, 2]]
        assert browser.get("/me").json() == {"cart": [1, 2]}


def test_what_fails_is_not_saved_and_what_is_refused_is():
    with Client(shop()) as client:
        browser = Browser(client)
        browser.get("/login/ada")
        assert browser.get("/fails").status_code == 500
        assert browser.get("/refuses").status_code == 403
        assert browser.get("/me").json() == {"user": "ada", "refused": True}


def test_a_session_revoked_under_way_stays_so():
    """The request that was under way changes nothing, and its browser is told."""
    store, revoked = MemorySessions(), []
    app = App(layers=[Sessions(store, KEY)])

    @app.get("/set")
    async def put(request: Request) -> None:
        request.session["a"] = 1

    @app.get("/late/{how}")
    async def late(request: Request, how: str) -> None:
        await store.revoke(request.session.token)
        if how == "rotate":
            request.session.rotate()
        request.session["b"] = 2
        revoked.append(how)

    with Client(app) as client:
        for how in ("change", "rotate"):
            browser = Browser(client)
            browser.get("/set")
            before = browser.cookie
            browser.get(f"/late/{how}")
            assert browser.said is not None and browser.cookie != before
    kept = [fields for _, fields in store._kept.items()]
    assert all("a" not in fields for fields in kept) and revoked == ["change", "rotate"]


def test_a_session_has_a_size():
    with Client(shop(most=100)) as client:
        assert Browser(client).get(f"/login/{'x' * 101}").status_code == 500
        assert Browser(client).get(f"/login/{'x' * 50}").status_code == 200

    async def many():
        session = Session()
        session.update({f"n{number}": 1 for number in range(1001)})
        with pytest.raises(Misused, match="1,001 names"):
            await session.save(MemorySessions(), 1 << 20)

    asyncio.run(many())


def machine(url):
    """A server of its own: a client, what tells it of changes, an application."""
    redis = Redis.from_url(url)
    remote = Remote(redis, timeout=30.0, heartbeat=30.0)  # the machine is busy
    return shop(RedisSessions(remote), resources=[redis, remote])


def test_machines_share_sessions_and_their_end(redis_server):
    """Two servers, each in a thread and a loop of its own."""
    with Client(machine(redis_server.url)) as here, Client(machine(redis_server.url)) as there:
        browser = Browser(here)
        browser.get("/login/ada")
        for client in (there, here, there):
            browser.client = client
            assert browser.get("/me").json() == {"user": "ada"}
        before = browser.cookie
        browser.client = here
        browser.get("/logout")
        assert Browser(here, before).get("/me").json() == {}
        while Browser(there, before).get("/me").json():
            pass  # the push is on its way
        redis_server.stop()
        assert Browser(there, before).get("/me").status_code in (502, 503)
        redis_server.start()


def test_streams_and_websockets_have_one():
    app = App(layers=[Sessions(MemorySessions(), KEY, secure=False)])

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        request.session["seen"] = True

        async def parts():
            yield b"1"

        return StreamingResponse(parts())

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(dict(websocket.session))
        websocket.session["socket"] = True

    @app.get("/me")
    async def me(request: Request) -> dict:
        return dict(request.session)

    with Client(app) as client:
        browser = Browser(client)
        browser.get("/stream")
        with client.websocket_connect("/ws", headers={"cookie": browser.cookie}) as chat:
            assert chat.receive_json() == {"seen": True}
        reply = {}
        while "socket" not in reply:  # saved behind the close frame
            reply = browser.get("/me").json()
        assert reply == {"seen": True, "socket": True}


def test_without_the_layer_there_is_none():
    app = App()

    @app.get("/")
    async def home(request: Request) -> dict:
        return dict(request.session)

    with Client(app) as client:
        assert client.get("/").status_code == 500


def test_a_session_is_a_dict():
    session = Session("t", {"a": b"\x01", "b": b"\x02"})
    assert dict(session) == {"a": 1, "b": 2} and len(session) == 2 and not session.is_new
    assert session.pop("a") == 1 and "a" not in session and session.get("a") is None
    session["c"] = 3
    session["a"] = 4
    assert sorted(session) == ["a", "b", "c"] and repr(session) == "<Session of ['a', 'b', 'c']>"
    del session["b"], session["c"]
    for name in ("b", "c", "never"):
        with pytest.raises(KeyError):
            session[name]
        with pytest.raises(KeyError):
            del session[name]
    for name in ("", 7):
        with pytest.raises(Misused):
            session[name] = 1


def test_what_is_put_in_behind_a_revocation_is_new():
    async def main():
        store = MemorySessions()
        await store.save("t", {"user": b"\x01"}, (), new=True)
        session = Session("t", await store.load("t"))
        session.revoke()
        session["user"] = 1
        assert await session.save(store, 1000) and session.token not in (None, "t")
        assert await store.load("t") is None
        assert await store.load(session.token) == {"user": b"\x01"}

    asyncio.run(main())


def test_a_rotation_of_an_empty_session_ends_it():
    async def main():
        store = MemorySessions()
        await store.save("t", {"a": b"\x01"}, (), new=True)
        session = Session("t", await store.load("t"))
        del session["a"]
        session.rotate()
        assert await session.save(store, 1000) and session.token is None
        assert await store.load("t") is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ("short", {}),
        ([], {}),
        (KEY, {"cookie": "a b"}),
        (KEY, {"samesite": "none", "secure": False}),
        (KEY, {"cookie": "__Host-x", "path": "/shop"}),
        (KEY, {"domain": "a;b"}),
    ],
)
def test_what_browsers_or_attackers_would_laugh_at(keys, options):
    with pytest.raises(BadSettings, match=r"Sessions\(\)"):
        Sessions(MemorySessions(), keys, **options)


def test_an_asgi_application_has_them_too():
    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        scope["session"]["visits"] = scope["session"].get("visits", 0) + 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            text = str(scope["session"]["visits"])
            await send({"type": "websocket.send", "text": text})
            await send({"type": "websocket.close"})
            return
        start = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]}
        await send(start)
        body = str(scope["session"]["visits"]).encode()
        await send({"type": "http.response.body", "body": body})

    with Client(SessionMiddleware(asgi, Sessions(MemorySessions(), KEY))) as client:
        browser = Browser(client)
        assert [browser.get("/").content for _ in range(2)] == [b"1", b"2"]
        with client.websocket_connect("/", headers={"cookie": browser.cookie}) as chat:
            assert chat.receive_text() == "3"
        assert browser.get("/").headers["x"] == "y"
