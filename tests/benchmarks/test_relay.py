import pytest

from benchmarks import relay
from benchmarks.relay import SIZES, WAYS, ask, table
from megahertz import App, Response, testing

app = App()


@app.get("/files/{size}")
async def file(size: int) -> Response:
    return Response(bytes(size))


def test_every_answer_is_read_whole():
    with testing.Client(app) as server:
        for size in (0, 300, 300_000):
            ask(server.port, f"/files/{size}", size, 40)


def test_another_answer_than_was_asked_for_is_none():
    with testing.Client(app) as server:
        for target in ("/files/1", "/nobody"):
            with pytest.raises(ConnectionError):
                ask(server.port, target, 2, 1)


def test_a_run_is_a_table(monkeypatch):
    spent = {relay.OURS: 50.0, relay.PIECES: 200.0, relay.NGINX: 100.0}

    def rounds(count, share):
        for number in range(count):
            for size in SIZES:
                for way in WAYS:
                    yield size, way, spent[way] + number

    monkeypatch.setattr(relay, "rounds", rounds)
    monkeypatch.setattr(relay, "about", lambda work: {"work": work})
    monkeypatch.setattr(relay, "said", lambda found: "somewhere")
    lines = table(relay.measure(3, 1.0))

    assert "| 64 KiB | RelayResponse | 51 | 50 to 52 | 816 | 0.50 |" in lines
    assert "| 10 MiB | nginx | 101 | 100 to 102 | 10 |  |" in lines
    assert "medians of 3 rounds" in lines[-1]
