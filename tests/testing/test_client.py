import asyncio

import pytest

from megahertz import App, JSONResponse, Request, Response
from megahertz.settings import Limits
from megahertz.testing import Client


@pytest.fixture
def echo():
    app = App()

    async def handler(request: Request) -> Response:
        body = await request.body()
        response = JSONResponse(
            [request.method, str(request.query_params.multi_items()), body.decode()]
        )
        response.headers.append("x-many", "1")
        response.headers.append("x-many", "2")
        return response

    app.route("/", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])(handler)
    return app


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_every_method_has_a_short_name(echo, method):
    with Client(echo) as client:
        assert getattr(client, method)("/").json()[0] == method.upper()


def test_params_json_and_content(echo):
    with Client(echo) as client:
        assert client.get("/", params={"a": [1, 2]}).json()[1] == "[('a', '1'), ('a', '2')]"
        assert client.post("/", json={"a": 1}).json()[2] == '{"a": 1}'
        assert client.post("/", content="text").json()[2] == "text"


def test_a_reply_keeps_every_field(echo):
    with Client(echo) as client:
        reply = client.get("/")

    assert reply.headers["x-many"] == "2"
    assert [value for name, value in reply.raw_headers if name == "x-many"] == ["1", "2"]


def test_limits_are_the_servers(echo):
    with Client(echo, limits=Limits(body_bytes=10)) as client:
        assert client.post("/", content=b"x" * 11).status_code == 413


def test_the_servers_figures_are_at_hand(echo):
    with Client(echo) as client:
        client.get("/")

        assert client.statistics().requests == 1


def test_a_handler_left_running_is_cancelled(monkeypatch):
    ended = []
    app = App()

    @app.get("/")
    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    monkeypatch.setattr("megahertz.testing.host.GRACE", 0.0)
    with Client(app) as client:
        peer = client.connect()
        peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not client.statistics().running:
            pass

    assert ended == [True]
    peer.close()


def test_a_server_that_has_stopped_is_left_in_peace(echo):
    with Client(echo) as client:
        client.stop()
        client._thread.join()
        client.stop()
