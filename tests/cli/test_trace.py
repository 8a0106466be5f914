"""`mhz trace`: one trace, asked of the services that have recorded it."""

import json
import urllib.request

import pytest
from click.testing import CliRunner

from megahertz.cli import main

APP = """
import os, urllib.request
from megahertz import App
from megahertz.http import Overview
from megahertz.observe import Tracing, calling

tracing = Tracing(1.0, keep=64, service=os.environ["NAME"])
app = App(layers=[tracing], overview=Overview(token=os.environ.get("TOKEN")))

@app.get("/buy/{sku}")
def buy(sku: int) -> str:
    url, headers = os.environ["STOCK"] + f"/stock/{sku}", {}
    with calling("GET", url, headers):
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.read().decode()

@app.get("/stock/{sku}")
async def stock(sku: int) -> str:
    return "7"
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
TOKEN = "a-token-of-24-characters"


def mhz(*arguments):
    return CliRunner().invoke(main, ["trace", *arguments])


def test_a_trace_of_two_services_is_drawn_whole(serve, tmp_path):
    (tmp_path / "mesh.py").write_text(APP)
    stock = serve("mesh:app", "--port", "0", NAME="stock", TOKEN=TOKEN).wait_for_url()
    shop = serve("mesh:app", "--port", "0", "--workers", "2", NAME="shop", STOCK=stock.url)
    shop.wait_for_url()
    asked = urllib.request.Request(f"{shop.url}/buy/1", headers={"traceparent": PARENT})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert answer.read() == b"7"

    port = shop.url.rpartition(":")[2]
    both = ("--from", port, "--from", stock.url, "--token", TOKEN)
    told = mhz(PARENT, *both, "--mermaid")
    assert told.exit_code == 0, told.output
    for line in (
        "participant p1 as shop",
        "participant p2 as stock",
        "p0->>p1: GET /buy/#123;sku#125;",
        "p1->>p2: GET /stock/#123;sku#125;",
    ):
        assert f"    {line}\n" in told.output

    tree = mhz(TRACE, *both).output
    assert tree.index("GET /buy/{sku}") < tree.index("GET /stock/{sku}")
    spans = json.loads(mhz(TRACE, *both, "--json").output)
    assert sorted({span["service"] for span in spans}) == ["shop", "stock"]
    # The page of either worker knows the whole of its service.
    alone = [json.loads(mhz(TRACE, "--from", shop.url, "--json").output) for _ in range(4)]
    assert {len(found) for found in alone} == {2}

    unknown = mhz("0" * 31 + "1", "--from", port)
    assert (unknown.exit_code, "nobody has recorded" in unknown.output) == (1, True)
    refused = mhz(TRACE, "--from", stock.url)
    assert (refused.exit_code, "asks for a token" in refused.output) == (2, True)
    assert shop.end() == stock.end() == 0


def test_a_file_of_a_collector_is_read(tmp_path):
    span = {"traceId": TRACE, "spanId": "1" * 16, "name": "GET /[red]x\x1b[31m", "kind": 2}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2000001"}
    span["attributes"] = [{"key": "http.response.status_code", "value": {"intValue": "500"}}]
    span["status"] = {"code": 2, "message": "why"}
    other = {**span, "traceId": "b" * 32, "name": "other"}
    file = tmp_path / "spans.json"
    scopes = [{"spans": [span, other]}]
    file.write_text(json.dumps({"resourceSpans": [{"scopeSpans": scopes}]}))
    told = mhz(TRACE, "--from", str(file)).output
    assert "GET /[red]x" in told
    assert "2 ms" in told
    assert "500" in told
    assert "why" in told
    assert "other" not in told
    assert "\x1b" not in told
    assert "p0->>p1: GET /#91;red#93;x" in mhz(TRACE, "--from", str(file), "--mermaid").output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("xyz",), "32 hex digits"),
        ((TRACE, "--from", ":9"), "no server of yours"),
        ((TRACE, "--from", "/nowhere"), "No such file"),
        ((TRACE, "--from", "http://127.0.0.1:9"), "Connection refused"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_said(arguments, why):
    told = mhz(*arguments)
    assert (told.exit_code, why in told.output) == (2, True), told.output
