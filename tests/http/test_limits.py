"""Limits of routes that the engine does not decide alone: Redis, turns, functions of a request."""

import asyncio

import httpx
import pytest

from megahertz import GCRA, App, LeakyBucket, Policy, Request, SlidingWindow
from megahertz.govern import RedisScope
from megahertz.testing import Client


def app_with(limit):
    app = App()

    @app.get("/", policy=Policy(limit=limit))
    async def hello() -> str:
        return "hello"

    return app


@pytest.mark.parametrize("law", [GCRA, SlidingWindow])
def test_a_limit_of_all_servers(redis_server, law):
    def served():
        return app_with(law(1, 3600, scope=RedisScope(redis_server.url, timeout=30), name="all"))

    with Client(served()) as here, Client(served()) as there:
        assert here.get("/").status_code == 200
        refused = there.get("/")
        assert (refused.status_code, refused.json()["code"]) == (429, "refused.rate_limited")
        assert int(refused.headers["retry-after"]) > 3000


def test_a_limit_of_all_servers_without_redis_is_this_ones_share(redis_server):
    redis_server.stop()
    limit = GCRA(2, 3600, burst=2, scope=RedisScope(redis_server.url, instances=2))
    with Client(app_with(limit)) as client:
        assert [client.get("/").status_code for _ in range(3)] == [200, 429, 429]
    redis_server.start()


def test_calls_wait_their_turn():
    limit = LeakyBucket(1000, burst=5)
    with Client(app_with(limit)) as client:
        assert [client.get("/").status_code for _ in range(20)] == [200] * 20
    assert limit.statistics().admitted == 20


async def test_under_another_server_too(redis_server):
    limit = GCRA(1, 3600, scope=RedisScope(redis_server.url, timeout=30))
    transport = httpx.ASGITransport(app_with(limit))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        answers = await asyncio.gather(*[client.get("/") for _ in range(5)])
    assert sorted(answer.status_code for answer in answers) == [200] + [429] * 4
    await limit.scope.aclose()


def test_a_key_is_a_function_of_the_request():
    app = App()

    def user(request: Request) -> str:
        return request.headers.get("x-user", "")

    @app.get("/", policy=Policy(limit=GCRA(1, 3600, key=user)))
    async def hello() -> str:
        return "hello"

    with Client(app) as client:
        ask = [client.get("/", headers={"x-user": name}).status_code for name in "aab"]
    assert ask == [200, 429, 200]
