"""The logger that asks first."""

import json
import logging

import pytest

from megahertz import App
from megahertz.observe import Logger, Logs, Sampling
from megahertz.testing import Client

log = Logger("shop")


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "log").open("w+b") as file:
        yield file


def say_all():
    log.debug("d")
    log.info("i", sku=7)
    log.warning("w")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("x")
    log.error("e")


def test_each_level(file):
    logs = Logs(Sampling.everything("debug"), fd=file.fileno())
    logs.open()
    say_all()
    logs.close()

    lines = [json.loads(line) for line in file.seek(0) or file]
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error", "error"]
    assert (lines[1]["sku"], lines[1]["logger"]) == (7, "shop")
    assert lines[3]["error"].endswith("ValueError: why")


def test_in_a_handler_it_is_sampled_and_bound(file):
    app = App(layers=[Logs(Sampling(info=0.0), fd=file.fileno(), access=False)])

    @app.get("/items")
    async def handler() -> None:
        log.info("dropped")
        log.error("kept")

    with Client(app) as client:
        client.get("/items")

    (line,) = [line for line in map(json.loads, file.seek(0) or file) if "route" in line]
    assert (line["message"], line["route"]) == ("kept", "/items")


def test_without_logs_it_is_loggings(caplog):
    assert Logs.active is None
    with caplog.at_level(logging.DEBUG):
        say_all()

    assert caplog.messages == ["d", "i sku=7", "w", "x", "e"]
    assert caplog.records[3].exc_info[0] is ValueError


def test_the_last_one_opened_is_the_one(file):
    outer, inner = (Logs(fd=file.fileno()) for _ in range(2))
    outer.open()
    inner.open()
    assert Logs.active is inner
    inner.close()
    assert Logs.active is outer
    inner.open()
    outer.close()
    assert Logs.active is inner
    inner.close()
    assert Logs.active is None
