"""Logs of an application, from the call of a logger to the line."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from megahertz import GCRA, App, HTTPError, Policy, Request, Response, StreamingResponse
from megahertz.errors import BadSettings
from megahertz.observe import Logs, Sampling, Tracing, current
from megahertz.observe.secrets import HIDDEN
from megahertz.testing import Client

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
log = logging.getLogger("shop")


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "log").open("w+b") as file:
        yield file


@pytest.fixture
def lines(file):
    """What was written, once the application has closed."""

    def read():
        file.seek(0)
        return [json.loads(line) for line in file]

    return read


def of(file, sampling=None, **options):
    return Logs(sampling or Sampling.everything(), fd=file.fileno(), **options)


def ask(app, path="/", **options):
    with Client(app) as client:
        return client.get(path, **options)


def test_what_handlers_log_is_bound_to_their_request(file, lines):
    app = App(layers=[of(file, access=False)])

    @app.get("/items/{sku}")
    async def handler(sku: int) -> None:
        log.info("sold %s", sku, extra={"user": 7, "password": "x"})

    with Client(app) as client:
        client.get("/items/3", headers={"b3": f"{TRACE}-00f067aa0ba902b7-0", "x-traffic-tag": "t"})

    (line,) = [line for line in lines() if line["logger"] == "shop"]
    assert line["message"] == "sold 3"
    assert (line["level"], line["user"], line["password"]) == ("info", 7, HIDDEN)
    assert (line["trace_id"], line["route"], line["tag"]) == (TRACE, "/items/{sku}", "t")


def test_in_a_handlers_thread_too(file, lines):
    app = App(layers=[of(file, access=False)])

    @app.get("/")
    def handler() -> None:
        log.warning("in %s", threading.current_thread().name[:9])

    ask(app)

    (line,) = [line for line in lines() if line["logger"] == "shop"]
    assert line["message"] == "in megahertz"[:12]
    assert line["route"] == "/"


@pytest.mark.parametrize("order", [1, -1])
def test_beside_a_span_it_has_the_spans_id(file, lines, order):
    exporter = InMemorySpanExporter()
    tracing = Tracing(1.0, exporter=exporter)
    app = App(layers=[of(file), tracing][::order])

    @app.get("/")
    async def handler() -> None:
        log.info("a")

    ask(app)

    (span,) = exporter.get_finished_spans()
    ids = {(f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}")}
    found = {(line["trace_id"], line["span_id"]) for line in lines() if "route" in line}
    assert found == ids


def accessed() -> App:
    app = App(policy=Policy(deadline=0.05))

    @app.get("/good")
    def good() -> str:
        return "ok"

    @app.get("/none")
    async def none() -> None: ...

    @app.get("/chosen")
    async def chosen() -> Response:
        return Response(status_code=418)

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPError(404)

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("why")

    @app.get("/late")
    async def late() -> None:
        await asyncio.Event().wait()

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"x" * 10_000]), status_code=202)

    @app.get("/limited", policy=Policy(limit=GCRA(1, per=3600, key=refuse)))
    async def limited() -> None: ...

    return app


def refuse(request):
    raise HTTPError(429)


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [
        ("/good", 200, "info"),
        ("/none", 204, "info"),
        ("/chosen", 418, "warning"),
        ("/refused", 404, "warning"),
        ("/broken", 500, "error"),
        ("/late", 504, "error"),
        ("/stream", 202, "info"),
        ("/nowhere", 404, "warning"),
        ("/limited", 429, "warning"),
    ],
)
def test_the_access_log(file, lines, path, status, level):
    app = accessed()
    app.layer(of(file))

    ask(app, path)

    (line,) = [line for line in lines() if line["logger"] == "access"]
    assert (line["status"], line["level"]) == (status, level)
    assert (line["method"], line["path"]) == ("GET", path)
    assert line.get("route") == (None if path == "/nowhere" else path)
    assert (line["client"], line["message"]) == ("127.0.0.1", "request")
    assert line["seconds"] >= 0
    assert "broken" not in line


@pytest.mark.parametrize(
    ("path", "status"),
    [("/chosen", 418), ("/refused", 404), ("/broken", 500), ("/late", 504), ("/limited", 429)],
)
def test_of_requests_that_end_badly_the_access_log_tells_where_it_keeps_no_good_ones(
    file, lines, path, status
):
    """The engine sends those past the layers, whose records are the same for all that."""
    app, loud = accessed(), accessed()
    app.layer(of(file, Sampling(info=0.0, warning=1.0)))
    loud.layer(of(file))

    for each in (app, loud):
        ask(each, path)
        ask(each, "/good")

    one, other, _ = [line for line in lines() if line["logger"] == "access"]
    assert (one["status"], one["path"]) == (status, path)
    ours = {"time", "trace_id", "span_id", "seconds"}
    assert {**one, **dict.fromkeys(ours)} == {**other, **dict.fromkeys(ours)}


@pytest.mark.parametrize("info", [0.0, 1.0], ids=["past the layers", "through them"])
def test_all_records_of_a_request_have_its_trace(file, lines, info):
    app = App(layers=[of(file, Sampling(info=info, warning=1.0))])

    @app.get("/")
    async def handler() -> None:
        async with asyncio.TaskGroup() as group:  # before anybody has asked for the trace
            group.create_task(child())
        await asyncio.sleep(0)
        raise ValueError("why")

    async def child():
        log.warning("in a child")

    with Client(app) as client:
        for _ in range(3):
            client.get("/")

    found = [line for line in lines() if "trace_id" in line]
    traces = [line["trace_id"] for line in found]
    assert len(set(traces)) == 3
    assert all(traces.count(trace) == 3 for trace in traces)  # the child, the error, the access
    assert {line["route"] for line in found} == {"/"}


def test_the_trace_that_chose_a_request_is_its_trace(file, lines):
    """The share is of the id that is drawn first: it is not drawn again."""
    app = App(layers=[of(file, Sampling(info=0.5)), Tracing(0.5)])
    shares = []

    @app.get("/")
    async def handler() -> None:
        shares.append(current().share)

    with Client(app) as client:
        for _ in range(100):
            client.get("/")

    kept = [line for line in lines() if line["logger"] == "access"]
    assert len(kept) == sum(share < 0.5 for share in shares) > 0


@pytest.mark.parametrize("sampling", [None, Sampling(info=0.0)], ids=["loud", "quiet"])
def test_half_an_answer_is_an_error(file, lines, sampling):
    app = App(layers=[of(file, sampling)])

    @app.get("/")
    async def handler() -> StreamingResponse:
        async def pieces():
            yield b"x" * 10_000
            raise ValueError("half")

        return StreamingResponse(pieces())

    with Client(app) as client, client.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        while connection.recv(65536):
            pass

    (line,) = [line for line in lines() if line["logger"] == "access"]
    assert (line["level"], line["status"], line["broken"]) == ("error", 200, True)


def test_a_client_that_leaves_is_not_an_error(file, lines):
    app, begun, over = App(layers=[of(file)]), threading.Event(), threading.Event()

    @app.get("/")
    async def handler() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    with Client(app) as client:
        with client.connect() as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert begun.wait(10)
        assert over.wait(10)

    (line,) = [line for line in lines() if line["logger"] == "access"]
    assert (line["level"], line["status"]) == ("info", 499)


def test_what_ends_a_process_is_not_swallowed(file, lines):
    app = App(layers=[of(file)])
    seen = []

    @app.get("/")
    async def handler() -> None:
        raise SystemExit(3)

    async def serve():
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        messages = [{"type": "http.request"}]

        async def receive():
            return messages.pop() if messages else await asyncio.Event().wait()

        async def send(message):
            seen.append(message)

        async with app:
            await app(scope, receive, send)

    with pytest.raises(SystemExit):
        asyncio.run(serve())
    assert seen == []


def test_rates_change_while_it_runs(file, lines):
    logs = of(file, Sampling(info=0.0, warning=0.0))
    app = App(layers=[logs])

    @app.get("/")
    async def handler(request: Request) -> None:
        log.info(request.query_params["n"])
        log.debug("debug")

    with Client(app) as client:
        client.get("/?n=1")
        logs.sampling = Sampling.everything()
        client.get("/?n=2")
        logs.sampling = Sampling.everything("debug")
        client.get("/?n=3")

    said = [line["message"] for line in lines() if line["logger"] == "shop"]
    assert said == ["2", "3", "debug"]


def test_debug_of_listed_clients(file, lines):
    logs = of(file, Sampling(debug_for=("127.0.0.0/8",)))
    app = App(layers=[logs])

    @app.get("/")
    async def handler() -> None:
        log.debug("looking")

    ask(app)

    assert "looking" in [line["message"] for line in lines()]


def test_the_root_logger_is_left_as_it_was(file):
    root = logging.getLogger()
    before = (root.level, [*root.handlers])

    async def twice():
        logs = of(file)
        async with logs, logs:
            assert logs.handler in root.handlers
        assert (root.level, root.handlers) == before

    asyncio.run(twice())
    assert (root.level, root.handlers) == before


class Pipe:
    """A reader that takes nothing until it is told to."""

    def __init__(self):
        self.reading, self.writing = os.pipe()

    def read(self, until):
        data = b""
        while until not in data:
            data += os.read(self.reading, 1 << 20)
        return data

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_a_reader_that_stops_holds_nobody_and_every_drop_is_counted(pipe):
    """The thread is stuck in its write, the ring overflows tenfold, and no call has waited."""
    capacity = 1000
    logs = Logs(Sampling.everything(), fd=pipe.writing, capacity=capacity)
    logs.open()
    for number in range(10 * capacity):
        logs.write(logging.ERROR if number % 20 == 0 else logging.INFO, "x" * 4000)

    found = logs.statistics()
    assert found.put == {"debug": 0, "info": 9500, "warning": 0, "error": 500}
    assert found.dropped["error"] == found.dropped["warning"] == 0
    # What is neither waiting nor dropped is in the hands of the thread: at most what fits the pipe
    # and the pieces under way.
    assert 10 * capacity - found.waiting - found.dropped["info"] < capacity
    assert not logs.flush(0.01)

    reader = threading.Thread(target=pipe.read, args=(b"log records dropped",))
    reader.start()
    logs.close()
    reader.join(60)

    final = logs.statistics()
    assert (final.waiting, final.dropped) == (0, found.dropped)


def test_what_was_dropped_is_told(file, lines):
    logs = of(file, capacity=2)
    for number in range(5):
        logs.write(logging.INFO, str(number))
    logs.write(logging.ERROR, "e")
    logs.open()
    logs.close()

    said = lines()
    assert [line["message"] for line in said[:2]] == ["1", "e"]
    assert said[2]["info"] == 4
    assert said[2]["level"] == "warning"


def test_a_pipe_that_is_closed_ends_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    logs = Logs(Sampling.everything(), fd=writing)
    logs.write(logging.INFO, "a")
    logs.open()
    logs.close()
    os.close(writing)

    assert logs.statistics().failed == 1


class Odd(dict):
    def items(self):
        raise KeyError("no")


def test_a_record_that_cannot_be_written_says_so(file, lines):
    logs = of(file)
    logs.write(logging.INFO, "a", logger="shop", fields=Odd(a=1))
    assert logs.flush()

    (line,) = lines()
    assert "'shop'" in line["message"]


def test_a_wrong_format_string_is_loggings_to_report(file, capsys):
    logs = of(file)
    record = logging.makeLogRecord({"msg": "%d", "args": ("x",), "levelno": logging.INFO})
    logs.handler.handle(record)

    assert "Logging error" in capsys.readouterr().err
    assert logs.statistics().put["info"] == 0


def test_a_critical_record_is_written_at_once(file, lines):
    of(file).write(logging.CRITICAL, "the disk is gone")

    (line,) = lines()
    assert line["level"] == "critical"


def test_levels_between_those_of_logging(file, lines):
    logs = of(file, Sampling(level="debug"))
    for number in (15, 25, 35, 45):
        logs.write(number, str(number))
    logs.flush()

    assert [line["level"] for line in lines()] == ["debug", "info", "warning", "error"]


def test_structlog_ends_here(file, lines):
    logs = of(file, Sampling(level="warning"))
    logger = structlog.wrap_logger(
        None, processors=[logs.processor], wrapper_class=structlog.BoundLogger
    ).bind(logger="shop", token="x")

    logger.info("dropped")
    logger.warn("sold", sku=7)
    try:
        raise ValueError("why")
    except ValueError as error:
        logger.exception("failed")
        logger.error("given", exc_info=error)
        logger.error("triple", exc_info=(ValueError, error, None))
    logger.error("none", exc_info=(None, None, None))
    logs.flush()

    sold, failed, given, triple, none = lines()
    assert (sold["level"], sold["message"], sold["sku"]) == ("warning", "sold", 7)
    assert (sold["logger"], sold["token"]) == ("shop", HIDDEN)
    for line in (failed, given, triple):
        assert line["error"].endswith("ValueError: why")
    assert (failed["level"], none.get("error")) == ("error", None)


def test_structlogs_own_levels(file, lines):
    logs = of(file)
    with pytest.raises(structlog.DropEvent):
        logs.processor(None, "notice", {"event": "a"})
    logs.flush()

    assert lines()[0]["level"] == "info"


PROGRAM = """
import logging, sys
from megahertz.observe import Logs, Sampling
logs = Logs(Sampling.everything())
logs.open()
logging.getLogger("shop").info("before")
raise ValueError("the program ends")
"""


def test_a_program_that_dies_of_an_error_has_written_its_log():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)

    assert '"message":"before"' in done.stderr


@pytest.mark.parametrize("options", [{"format": "xml"}, {"capacity": 0}])
def test_settings_that_cannot_be(options):
    with pytest.raises(BadSettings):
        Logs(**options)


def test_a_route_without_it_has_no_trace(file):
    app, seen = App(), []

    @app.get("/")
    async def handler() -> None:
        seen.append(current())

    ask(app)

    assert seen == [None]


def test_filters_of_the_handler_hold(file, lines):
    logs = of(file)
    logs.handler.addFilter(lambda record: record.name == "shop")
    for name in ("shop", "other"):
        made = logging.makeLogRecord({"msg": name, "name": name, "levelno": logging.INFO})
        assert logs.handler.handle(made) is (name == "shop")
    logs.flush()

    assert [line["message"] for line in lines()] == ["shop"]


def test_what_is_logged_while_it_closes_is_written(file, lines):
    """The thread has seen the end of its ring, and then that it shall stop."""
    logs = of(file)
    logs.open()
    turn, writer = threading.Event(), logs._writer
    drain = writer._drain

    def slow():
        drain()
        if not turn.is_set():
            turn.set()
            logs.write(logging.INFO, "late")
            writer._stopping = True

    writer._drain = slow
    logs.write(logging.INFO, "early")
    assert turn.wait(10)
    logs.close()

    assert [line["message"] for line in lines()] == ["early", "late"]


def test_the_last_to_close_leaves_the_level_that_the_first_has_found():
    root = logging.getLogger()
    before = root.level
    one, two = (Logs(sampling=Sampling.everything("debug")) for _ in range(2))
    one.open()
    two.open()
    one.close()
    assert root.level == logging.DEBUG
    two.close()
    assert root.level == before
