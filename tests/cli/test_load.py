import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from megahertz.cli import main


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(404 if self.path == "/missing" else 200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.headers, body))
        self._answer(201)

    def _answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def shop():
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        server.daemon_threads = True
        server.seen = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def load(*arguments):
    quick = ("-c", "2", "-d", "0.1", "--warmup", "0")
    return CliRunner().invoke(main, ["load", *arguments, *quick])


def test_a_good_run_exits_with_0_and_writes_json(shop, tmp_path):
    file = tmp_path / "out.json"
    result = load(shop.url, "--json", str(file))
    assert result.exit_code == 0, result.output
    data = json.loads(file.read_text())
    assert data["requests"] == data["statuses"]["200"] > 0
    assert "p99.9" in result.output


def test_an_unexpected_status_exits_with_1(shop):
    result = load(shop.url + "/missing")
    assert result.exit_code == 1
    assert "not expected" in result.output


def test_an_expected_status_is_fine_whatever_it_is(shop):
    assert load(shop.url + "/missing", "--expect", "404").exit_code == 0


def test_a_body_from_a_file_is_posted_with_its_placeholders(shop, tmp_path):
    file = tmp_path / "order.json"
    file.write_text('{"n": {n}, "user": "{rand:5-5}"}')
    result = load(shop.url, "--body", f"@{file}", "-H", "X-Run: 7")
    assert result.exit_code == 0, result.output
    headers, body = shop.seen[0]
    assert json.loads(body) == {"n": json.loads(body)["n"], "user": "5"}
    assert headers["x-run"] == "7"
    assert headers["content-type"] == "application/json"


def test_ones_own_content_type_stays(shop):
    load(shop.url, "--body", "x", "-H", "content-type: text/plain")
    assert shop.seen[0][0].get_all("content-type") == ["text/plain"]


def test_nobody_there_exits_with_3():
    result = load("http://127.0.0.1:1/")
    assert result.exit_code == 3
    assert "nothing was answered" in result.output


def test_a_host_without_an_address_exits_with_3():
    result = load("http://nowhere.invalid/")
    assert result.exit_code == 3
    assert "nowhere.invalid" in result.output


def test_a_host_that_cannot_be_reached_exits_with_3():
    """In a network namespace of its own, where not even the loopback is up."""
    away = ["unshare", "--net", "--map-root-user", sys.executable, "-m", "megahertz", "load"]
    result = subprocess.run(
        [*away, "http://127.0.0.1:1/", "-d", "0.1", "--warmup", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 3, result.stderr
    assert "unreachable" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("ftp://127.0.0.1/",),
        ("http://127.0.0.1/", "-H", "nonsense"),
        ("http://127.0.0.1/", "--body", "@/no/such/file"),
        ("http://127.0.0.1/", "--body", "{rand:x}"),
        ("http://127.0.0.1/", "--expect", "abc"),
        ("http://127.0.0.1/", "-c", "0"),
    ],
    ids=["scheme", "header", "file", "template", "expect", "connections"],
)
def test_what_is_not_understood_exits_with_2(arguments):
    result = CliRunner().invoke(main, ["load", *arguments])
    assert result.exit_code == 2, result.output


def test_help_has_an_example():
    assert "mhz load http://127.0.0.1:8000/" in CliRunner().invoke(main, ["load", "-h"]).output


def test_help_names_the_exit_codes_and_the_commands_below():
    text = CliRunner().invoke(main, ["load", "--help"]).output
    assert "load [OPTIONS] [URL]" in text
    for word in ("mhz load knee", "mhz load compare", "  3  no connection was made"):
        assert word in text
    assert "  0  a knee was found" in CliRunner().invoke(main, ["load", "knee", "-h"]).output


def test_a_command_without_a_url_says_what_it_needs():
    result = CliRunner().invoke(main, ["load"])
    assert result.exit_code == 2
    assert "name a URL, or a file with --scenario" in result.output


@pytest.mark.parametrize(
    ("expected", "code", "word"),
    [
        ("p99<5s", 0, "holds"),
        ("rate>1000000", 1, "broken"),
        ("p50>9s", 1, "broken"),
    ],
)
def test_a_threshold_sets_the_exit_code(shop, expected, code, word):
    result = load(shop.url, "--expect", expected)
    assert result.exit_code == code, result.output
    assert word in result.output


def test_a_threshold_on_errors_tolerates_as_many(shop):
    assert load(shop.url + "/missing", "--expect", "errors<=100%").exit_code == 0
    assert load(shop.url + "/missing", "--expect", "errors<100%").exit_code == 1


def test_every_output_is_written(shop, tmp_path):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "html")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    result = load(shop.url, *options, "--tag", "smoke", "--env-mode", "test")
    assert result.exit_code == 0, result.output
    assert "by tag" in result.output
    data = json.loads(files["json"].read_text())
    assert data["tags"]["smoke"]["requests"] == data["requests"]
    assert data["series"]
    assert files["csv"].read_text().startswith("at,seconds,rate")
    assert "</svg>" in files["html"].read_text()


def test_what_could_not_be_written_is_refused_before_the_run(tmp_path):
    result = load("http://127.0.0.1:1/", "--json", str(tmp_path / "none" / "out.json"))
    assert result.exit_code == 2
    assert "there is no folder" in result.output


def test_a_dry_run_shows_what_would_be_sent():
    result = load("http://h/x", "--body", "{n}", "--tag", "a", "--dry-run")
    assert result.exit_code == 0
    for line in ("POST /x", "host: h", "x-trace-id: {uuid}", "x-traffic-tag: a", "{n}"):
        assert line in result.output


SCENARIO = """
url = "http://127.0.0.1:1/"
warmup = 0
timeout = 5
connections = 2
[[stages]]
rate = 100
seconds = 0.2
[[requests]]
name = "front"
path = "/"
tag = "read"
[[requests]]
name = "order"
path = "/orders"
body = "{csv:name}"
tag = "write"
"""


@pytest.fixture
def scenario(tmp_path):
    (tmp_path / "names.csv").write_text("name\nann\n")
    file = tmp_path / "load.toml"
    file.write_text(SCENARIO.replace("timeout", 'data = { file = "names.csv" }\ntimeout'))
    return file


def run(*arguments):
    return CliRunner().invoke(main, ["load", *map(str, arguments)])


def test_a_scenario_is_run_and_the_command_line_goes_before_it(shop, scenario, tmp_path):
    out = tmp_path / "out.json"
    result = run("--scenario", scenario, shop.url, "-c", 1, "--json", out)
    assert result.exit_code == 0, result.output
    data = json.loads(out.read_text())
    assert (data["connections"], data["open_loop"], data["stages"]) == (1, True, ["100:0.2"])
    assert data["requests"] == sum(part["requests"] for part in data["names"].values()) == 20
    assert {body for _, body in shop.seen} == {b"ann"}
    for word in ("front", "order", "read", "write"):
        assert word in result.output


def test_a_rate_of_the_command_line_replaces_the_stages(shop, scenario, tmp_path):
    out = tmp_path / "out.json"
    run("--scenario", scenario, shop.url, "--rate", 50, "-d", 0.2, "--json", out)
    data = json.loads(out.read_text())
    assert (data["rate"], data["stages"], data["requests"]) == (50, None, 10)


@pytest.mark.parametrize("command", [("--scenario",), ("http://h/", "--stages", "5:1")])
def test_stages_say_how_long(scenario, command):
    """To shorten them would be to change the load: a rate without its ramp, or no rate at all."""
    given = (*command, scenario) if command[0] == "--scenario" else command
    result = run(*given, "-d", 5)
    assert result.exit_code == 2
    assert "the stages say how long" in result.output


@pytest.mark.parametrize("options", [("--body", "x"), ("--expect", "404"), ("-X", "PUT")])
def test_requests_of_a_scenario_are_not_changed(scenario, options):
    result = run("--scenario", scenario, *options)
    assert result.exit_code == 2
    assert "the scenario's requests say that themselves" in result.output


def test_a_bad_scenario_exits_with_2_and_names_the_line(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('url = "http://h/"\n[[requests]]\nwait = 1\n')
    result = run("--scenario", file)
    assert result.exit_code == 2
    assert "bad.toml:3: requests[0].wait: unknown key; allowed: name" in result.output


def test_stages_thought_and_rows_have_options(shop, tmp_path):
    (tmp_path / "names.csv").write_text("name\nann\n")
    rows = ("--csv-data", tmp_path / "names.csv", "--body", "{csv:name}")
    result = run(shop.url, "--stages", "50:0.1,100~:0.1", "--warmup", 0, *rows)
    assert result.exit_code == 0, result.output
    assert "rate 50:0.1 100~:0.1" in result.output
    given = ("--stages", "2:0.1", "--stages-of", "connections", "--think", "0.01")
    result = run(shop.url, *given, "--warmup", 0)
    assert result.exit_code == 0, result.output
    assert "0.01 s of thought" in result.output


class Raw:
    """Accepts, sends what it is given, and closes, or resets, or says nothing."""

    def __init__(self, data, end):
        self._data, self._end = data, end
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._kept = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                if self._end != "silent":
                    sock.recv(65536)
                sock.sendall(self._data)
                if self._end == "reset":
                    option = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            if self._end == "silent":
                self._kept.append(sock)
            else:
                sock.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for sock in (*self._kept, self._listener):
            sock.close()


@pytest.mark.parametrize(
    ("data", "end", "words"),
    [
        (b"", "close", "closed without a complete answer"),
        (b"", "reset", "connection or stream reset"),
        (b"SSH-2.0-OpenSSH_9\r\n", "close", 'answer: b"SSH-2.0-OpenSSH_9'),
        (b"", "silent", "no complete answer within the timeout"),
    ],
    ids=["closes", "resets", "garbage", "silent"],
)
def test_a_server_that_never_answers_exits_with_4_and_the_reason(data, end, words):
    server = Raw(data, end)
    try:
        result = load(server.url, "--timeout", "0.2")
    finally:
        server.close()
    assert result.exit_code == 4, result.output
    assert words in " ".join(result.output.replace("│", " ").split())


def test_two_reports_are_compared(shop, tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    load(shop.url, "--json", str(one))
    data = json.loads(one.read_text())
    two.write_text(json.dumps(data | {"qps": data["qps"] / 2, "connections": 9}))
    result = run("compare", one, two)
    assert result.exit_code == 0
    assert "-50.0%" in result.output
    assert "not the same connections: 2 and 9" in result.output
    assert run("compare", one, two, "--fail").exit_code == 1
    assert run("compare", one, one, "--fail").exit_code == 0
    assert run("compare", one, tmp_path / "none.json").exit_code == 2


def test_the_knee_is_searched_written_and_told(shop, tmp_path):
    """The shop answers 404 on one path: with errors tolerated everything holds, else nothing."""
    files = {kind: tmp_path / f"knee.{kind}" for kind in ("json", "csv", "html")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    quick = ("--from", 20, "--to", 40, "--step", 0.2, "--warmup", 0, "--expect", "p99.9<5s")
    result = run("knee", shop.url, *quick, *options, "--pid", os.getpid())
    assert result.exit_code == 1, result.output
    assert "everything up to 40 /s holds" in result.output
    assert json.loads(files["json"].read_text())["knee"] == 40
    assert files["csv"].read_text().count("\n") > 2
    assert "</svg>" in files["html"].read_text()
    result = run("knee", shop.url + "/missing", *quick)
    assert result.exit_code == 1
    assert "not even the first rate holds" in result.output
    assert "errors" in result.output


def test_the_knee_of_a_server_that_closes_is_unanswered():
    server = Raw(b"", "close")
    try:
        quick = ("--step", 0.1, "--warmup", 0, "--timeout", 0.2)
        result = run("knee", server.url, *quick)
    finally:
        server.close()
    assert result.exit_code == 4, result.output


def test_the_knee_of_nobody_is_unreachable():
    result = run("knee", "http://127.0.0.1:1/", "--step", 0.1, "--warmup", 0, "--timeout", 0.2)
    assert result.exit_code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("--expect", "p50<1s"),
        ("--expect", "p99.9>1s"),
        ("--from", "0"),
        ("--pid", "0"),
        ("--tasks", "nonsense"),
    ],
)
def test_what_the_knee_does_not_understand_exits_with_2(arguments):
    result = run("knee", "http://127.0.0.1:1/", *arguments)
    assert result.exit_code == 2, result.output
