import runpy
from pathlib import Path

from megahertz.testing import Client

HELLO = Path(__file__).parents[2] / "examples/hello.py"


def test_hello_answers_on_each_of_its_routes():
    with Client(runpy.run_path(str(HELLO))["app"]) as client:
        assert client.get("/").json() == {"msg": "ok"}
        assert client.get("/items/1?shout=1").json() == {"sku": 1, "name": "SPANNER"}
        assert client.get("/items/9").status_code == 404
        reply = client.post("/orders", json={"sku": 1, "user": 2}, headers={"user-agent": "me"})

    assert (reply.status_code, reply.json()) == (201, {"sku": 1, "user": 2, "agent": "me"})


def test_chat_tells_everybody():
    app = runpy.run_path(str(HELLO.with_name("chat.py")))["app"]
    with Client(app) as client, client.websocket_connect("/rooms/a?name=ann") as ann:
        with client.websocket_connect("/rooms/a?name=bob") as bob:
            assert ann.receive_text() == "bob is here"
            bob.send_text("hi")
            assert (ann.receive_text(), bob.receive_text()) == ("bob: hi", "bob: hi")
        assert ann.receive_text() == "bob has left"
