import asyncio
import socket
import threading
import time

import httpx
import pytest

from megahertz import (
    GCRA,
    App,
    Breaker,
    LeakyBucket,
    Policy,
    Request,
    Response,
    Shed,
    Stale,
    deadline,
)
from megahertz.errors import BadSettings, RateLimited
from megahertz.http import AsgiHost
from megahertz.testing import Client


def test_a_refusal_tells_the_limit_the_wait_and_an_id():
    app = App()

    @app.get("/", policy=Policy(limit=GCRA(100, per=60)))
    async def handler() -> str:
        return "ok"

    with Client(app) as client:
        client.get("/")
        reply = client.get("/")
        own = client.get("/", headers={"x-request-id": "mine-1"})
        refusals = app.gates.plane().refusals()

    assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
    assert reply.headers["ratelimit-policy"] == '"default";q=100;w=60'
    assert reply.headers["ratelimit"] == '"default";r=0;t=1'
    assert reply.json()["detail"] == "at most 100 in 60 s"
    assert "x-request-id" not in own.headers
    newest, first = refusals
    assert (newest[3], newest[4]) == ("mine-1", "GET /")
    assert first[3] == reply.headers["x-request-id"]


def test_what_is_only_observed_passes_and_is_counted():
    app = App()
    policy = Policy(limit=GCRA(1, per=60), concurrency=1, mode="observe")

    @app.get("/", policy=policy)
    async def handler() -> str:
        return "ok"

    with Client(app) as client:
        assert [client.get("/").status_code for _ in range(3)] == [200] * 3
        (route,) = app.gates.plane().tallies()
        refusals = app.gates.plane().refusals()
    assert (route[0], route[3][2], route[4][2]) == ("GET /", 3, (0, 2))
    assert [refusal[2] for refusal in refusals] == [True, True]


async def test_a_client_of_ipv6_is_its_network():
    app = App()

    @app.get("/", policy=Policy(limit=GCRA(1, per=60, key="client")))
    async def handler() -> str:
        return "ok"

    statuses = []
    for host in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.1"):
        transport = httpx.ASGITransport(app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            statuses.append((await client.get("/")).status_code)
    assert statuses == [200, 429, 200, 200, 429]


class Backend:
    def __init__(self, app, **policy):
        self.status, self.calls = 200, 0

        @app.get("/item/{sku}", policy=Policy(**policy))
        async def item(sku: int) -> Response:
            self.calls += 1
            return Response(f"item {sku}", self.status)


def test_a_route_that_fails_rests_and_is_tried_again():
    app = App()
    backend = Backend(app, breaker=Breaker(2, open=0.0001))
    with Client(app) as client:
        backend.status = 500
        for _ in range(2):
            client.get("/item/1")
        app.set_policy(Policy(breaker=Breaker(2, open=60.0)), route="GET /item/{sku}")
        backend.status = 200
        while client.get("/item/1").status_code != 200:
            pass
        assert client.get("/item/1").status_code == 200
        assert client.get("/item/1").status_code == 200


def test_an_open_breaker_answers_503_and_calls_nobody():
    app = App()
    backend = Backend(app, breaker=Breaker(2, open=60.0))
    with Client(app) as client:
        backend.status = 500
        answers = [client.get("/item/1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 503, 503]
    assert answers[3].json()["code"] == "refused.breaker_open"
    assert answers[3].headers["retry-after"] == "60"
    assert backend.calls == 2


def test_errors_of_the_caller_open_nothing():
    app = App()
    backend = Backend(app, breaker=Breaker(2, open=60.0))
    with Client(app) as client:
        backend.status = 404
        assert [client.get("/item/1").status_code for _ in range(4)] == [404] * 4
        assert [client.get("/item/x").status_code for _ in range(4)] == [422] * 4


def test_a_fallback_answers_while_it_rests():
    async def cheap(request: Request) -> dict[str, str]:
        return {"from": request.path_params["sku"]}

    app = App()
    backend = Backend(app, breaker=Breaker(2, open=60.0, fallback=cheap))
    with Client(app) as client:
        backend.status = 500
        for _ in range(2):
            client.get("/item/7")
        assert client.get("/item/7").json() == {"from": "7"}
        assert backend.calls == 2


def test_a_stale_answer_is_that_of_the_same_target():
    app = App()
    backend = Backend(app, breaker=Breaker(2, open=60.0, fallback=Stale(60)))
    with Client(app) as client:
        assert client.get("/item/7?a=1").text == "item 7"
        backend.status = 500
        for _ in range(2):
            client.get("/item/8")
        assert client.get("/item/7?a=1").text == "item 7"
        assert client.get("/item/7?a=2").status_code == 503


def test_what_is_left_is_known_inside():
    app = App(policy=Policy(deadline=5.0))
    seen = []

    @app.get("/")
    async def handler() -> None:
        seen.append(deadline())
        seen.append(await asyncio.create_task(inner()))

    async def inner() -> float | None:
        return deadline()

    with Client(app) as client:
        client.get("/")
        client.get("/", headers={"x-envoy-expected-rq-timeout-ms": "900"})
        client.get("/", headers={"x-envoy-expected-rq-timeout-ms": "99999"})
        client.get("/", headers={"x-envoy-expected-rq-timeout-ms": "soon"})
    assert [round(it + 0.5) for it in seen] == [5, 5, 1, 1, 5, 5, 5, 5]
    assert all(0 < it <= most for it, most in zip(seen, [5, 5, 0.9, 0.9, 5, 5, 5, 5], strict=True))


def test_without_a_deadline_there_is_none_inside():
    app = App(policy=Policy(concurrency=10))

    @app.get("/")
    async def handler() -> bool:
        return deadline() is None

    with Client(app) as client:
        assert client.get("/").json() is True


def test_a_budget_of_nothing_is_refused_before_the_handler():
    app = App(policy=Policy(deadline=5.0))
    calls = []

    @app.get("/")
    async def handler() -> None:
        calls.append(1)

    with Client(app) as client:
        reply = client.get("/", headers={"x-envoy-expected-rq-timeout-ms": "0"})
    assert (reply.status_code, reply.json()["code"], calls) == (503, "refused.overloaded", [])


def test_a_callers_budget_ends_the_handler_with_a_reason():
    app = App(policy=Policy(deadline=60.0))
    reasons = []

    @app.get("/")
    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            reasons.append(str(error))
            raise

    with Client(app) as client:
        reply = client.get("/", headers={"x-envoy-expected-rq-timeout-ms": "20"})
        again = client.get("/", headers={"x-envoy-expected-rq-timeout-ms": "20"})
    assert reply.status_code == again.status_code == 504
    assert "0.02 s" in reply.json()["detail"]
    assert reasons == ["deadline exceeded"] * 2


def test_a_handler_that_blocks_the_loop_makes_others_be_refused():
    """Two requests wait while the first holds the loop: the second has waited too long."""
    app = App(policy=Policy(shed=Shed(lag=0.001, interval=0.002)))
    entered, leave = threading.Event(), threading.Event()

    @app.get("/hold")
    async def hold() -> str:
        entered.set()
        leave.wait(10)
        return "held"

    @app.get("/")
    async def quick() -> str:
        return "quick"

    def ask(client: Client, path: str) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", client.port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
        return sock

    with Client(app) as client:
        held = ask(client, "/hold")
        entered.wait(10)
        others = [ask(client, "/") for _ in range(8)]
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass
        leave.set()
        answers = [sock.makefile("rb").readline() for sock in (held, *others)]
        for sock in (held, *others):
            sock.close()
    assert answers[0] == b"HTTP/1.1 200 OK\r\n"
    assert b"HTTP/1.1 503 Service Unavailable\r\n" in answers[1:]


def test_rules_change_while_it_serves_all_or_none():
    app = App(policy=Policy(limit=GCRA(1, per=60)))

    @app.get("/")
    async def one() -> str:
        return "ok"

    @app.get("/two/{sku}")
    async def two(sku: int) -> str:
        return "ok"

    with Client(app) as client:
        assert [client.get("/").status_code for _ in range(2)] == [200, 429]
        with pytest.raises(BadSettings, match="no \\{sku\\}"):
            app.set_policy(Policy(limit=GCRA(5, key="path:sku")))
        with pytest.raises(BadSettings, match="mhz reload"):
            app.set_policy(Policy(limit=LeakyBucket(5)))
        with pytest.raises(BadSettings, match="no route"):
            app.set_policy(Policy(), route="GET /nowhere")
        assert client.get("/").status_code == 429
        app.set_policy(Policy(limit=GCRA(1, per=60), mode={"limit": "observe"}))
        assert client.get("/").status_code == 200
        app.set_policy(Policy())
        assert [client.get("/").status_code for _ in range(3)] == [200] * 3
        app.set_policy(Policy(limit=GCRA(2, per=60, burst=2)), route="GET /")
        assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
        assert [client.get("/two/1").status_code for _ in range(3)] == [200] * 3


def test_the_applications_own_words_for_a_refusal():
    app = App(policy=Policy(limit=GCRA(1, per=60)))

    @app.exception_handler(RateLimited)
    def slow_down(request: Request, error: RateLimited) -> Response:
        return Response(f"{request.url.path}: {error}", 420)

    @app.get("/")
    async def handler() -> str:
        return "ok"

    with Client(app) as client:
        client.get("/")
        reply = client.get("/")
    assert (reply.status_code, reply.text) == (420, "/: at most 1 in 60 s")


async def asgi(scope, receive, send):
    if scope["path"] == "/late":
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_an_asgi_application_has_rules_in_front():
    policies = {
        "*": Policy(deadline=0.02),
        "/items/{sku}": Policy(limit=GCRA(1, per=60, key="path:sku")),
        "/open": Policy.off(),
    }
    with Client(AsgiHost(asgi, policy=policies, lifespan="off")) as client:
        assert client.get("/late").status_code == 504
        assert [client.get("/items/1").status_code for _ in range(2)] == [200, 429]
        assert client.get("/items/2").text == "/items/2"
        assert [client.get("/open").status_code for _ in range(2)] == [200] * 2


def test_one_policy_is_in_front_of_all_of_it():
    host = AsgiHost(asgi, policy=Policy(limit=GCRA(1, per=60)), lifespan="off")
    with Client(host) as client:
        assert [client.get("/a").status_code, client.get("/b").status_code] == [200, 429]


async def test_the_same_rules_under_another_server():
    app = App()
    backend = Backend(
        app, limit=GCRA(10, per=60, burst=3), breaker=Breaker(2, open=60.0, fallback="cheap")
    )

    @app.get("/left", policy=Policy(deadline=5.0))
    async def left() -> bool:
        return 4 < (deadline() or 0) < 5

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/left")).json() is True
        backend.status = 500
        answers = [await client.get("/item/1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 500, 200, 429]
    assert answers[2].text == "cheap"


def test_many_ends_leave_nothing_running():
    """However a request ends, its place in the bulkhead is free again."""
    app = App()

    @app.get("/{how}", policy=Policy(concurrency=1, deadline=0.05))
    async def handler(how: str) -> str:
        if how == "raise":
            raise ValueError(how)
        if how == "wait":
            await asyncio.sleep(0)
        if how == "late":
            await asyncio.Event().wait()
        return how

    with Client(app) as client:
        for how in ("raise", "wait", "late", "here") * 5:
            assert client.get(f"/{how}").status_code in (200, 500, 504)
        (route,) = app.gates.plane().tallies()
    assert (route[1], sum(route[3])) == (0, 20)


def test_who_has_the_token_is_told_why():
    app = App(policy=Policy(limit=GCRA(1, per=60)), explain_token="0123456789abcdef")

    @app.get("/")
    async def handler() -> str:
        return "ok"

    mine = {"authorization": "Bearer 0123456789abcdef"}
    with Client(app) as client:
        client.get("/")
        name = client.get("/").headers["x-request-id"]
        client.get("/")
        (one,) = client.get(f"/_mhz/explain?id={name}", headers=mine).json()
        assert (one["rule"], one["route"], one["figures"]["remaining"]) == ("limit", "GET /", 0)
        assert len(client.get("/_mhz/explain", headers=mine).json()) == 2
        for wrong in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic \xe9"}):
            refused = client.get("/_mhz/explain", headers=wrong)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


def test_a_token_that_can_be_guessed_is_refused():
    with pytest.raises(BadSettings, match="16"):
        App(explain_token="secret")
