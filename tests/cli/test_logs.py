"""`mhz run --access-log --log-format --log-rate`."""

import json
import logging

import pytest

from megahertz.cli.logs import logs_of, observed
from megahertz.errors import BadSettings
from megahertz.http import service_of
from megahertz.observe import Sampling

ANY = ("--host", "127.0.0.1", "--port", "0")


@pytest.mark.parametrize(
    ("target", "path", "route"), [("shop:app", "/worker", "/worker"), ("shop:asgi", "/any", None)]
)
def test_an_access_log_in_json(serve, target, path, route):
    options = ("--access-log", "--log-format", "json", "--log-rate", "info=1")
    served = serve(target, *ANY, *options).wait_for_url()
    served.get(path)
    assert served.end() == 0

    lines = [json.loads(line) for line in served.process.stderr.read().splitlines()]
    (line,) = [line for line in lines if line["logger"] == "access"]
    assert (line["status"], line["path"], line.get("route")) == (200, path, route)


def test_of_several_workers(serve):
    options = ("--access-log", "--workers", "2")
    served = serve("shop:app", *ANY, *options).wait_for_url()
    for _ in range(4):
        served.get("/pid")
    assert served.end() == 0

    assert served.process.stderr.read().count(" path=/pid status=200 ") == 4


def test_a_rate_that_is_none(serve):
    served = serve("shop:app", *ANY, "--log-rate", "info=often")

    assert served.process.wait(20) == 3
    assert "info=often" in served.process.stderr.read()


@pytest.fixture
def opened():
    made = []
    yield lambda *options: made.append(logs_of(*options)) or made[-1]
    for logs in made:
        logs.close()


def test_json_is_sampled_and_console_is_not(opened):
    assert opened("info", "json", (), False).sampling == Sampling()
    assert opened("debug", None, (), True).sampling == Sampling.everything("debug")
    assert opened("info", None, ("warning=0.5",), False).sampling == Sampling(warning=0.5, info=1.0)


@pytest.mark.parametrize("rate", ["info", "info=x", "info=2", "error=0.5", "=1"])
def test_rates(rate):
    with pytest.raises(BadSettings):
        logs_of("info", None, (rate,), False)


def test_without_options_only_we_speak():
    ours = logging.getLogger("megahertz")
    before = (ours.level, ours.propagate, [*ours.handlers])
    try:
        assert logs_of("warning", None, (), False) is None
        assert (ours.level, len(ours.handlers)) == (logging.WARNING, len(before[2]) + 1)
    finally:
        ours.level, ours.propagate, ours.handlers = before


async def asgi(scope, receive, send): ...


def test_a_service_without_an_access_log_is_left_alone():
    service = service_of(asgi)

    assert observed(service, None) is service
