import json
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
