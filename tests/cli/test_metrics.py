"""What several workers have counted, asked of one."""

import http.client
import os
import re
import signal
import threading
import urllib.request
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

APP = """
from megahertz import App, Response

app = App(metrics_url="/metrics")

@app.get("/items/{sku}")
async def item(sku: int) -> Response:
    return Response(status_code=200 if sku % 10 else 503)
"""

EACH, CLIENTS = 200, 8


def test_every_request_is_counted_once_whichever_worker_has_served_it(serve, tmp_path):
    (tmp_path / "counted.py").write_text(APP)
    served = serve("counted:app", "--port", "0", "--workers", "4").wait_for_url()
    port, seen, lock = int(served.url.rpartition(":")[2]), Counter(), threading.Lock()

    def ask():
        for _ in range(4):  # a connection each: they spread over the workers
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            for sku in range(EACH // 4):
                connection.request("GET", f"/items/{sku}")
                answer = connection.getresponse()
                answer.read()
                with lock:
                    seen[f"{answer.status // 100}xx"] += 1
            connection.close()

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    for _ in range(4):
        families = text_string_to_metric_families(served.get("/metrics").decode())
        (family,) = [it for it in families if it.name == "megahertz_requests"]
        items = [it for it in family.samples if it.labels["route"] == "/items/{sku}"]
        told = {it.labels["status"]: it.value for it in items if it.value}
        assert told == dict(seen)
    assert sum(seen.values()) == EACH * CLIENTS
    assert served.end() == 0


def figures(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(line):
    with urllib.request.urlopen(line, timeout=20) as answer:
        return figures(answer.read().decode())


PLAIN = """
import os
from megahertz import App

app = App(docs_url=None, openapi_url=None)

@app.get("/pid")
async def pid() -> int:
    return os.getpid()
"""


def test_a_port_of_its_own_tells_of_all_workers_and_of_those_that_were(serve, tmp_path, until):
    (tmp_path / "plain.py").write_text(PLAIN)
    served = serve("plain:app", "--port", "0", "--workers", "2", "--metrics", "127.0.0.1:0")
    where = re.search(r"http\S+/metrics", served.process.stderr.readline())[0]
    served.wait_for_url()
    pids = {int(served.get("/pid")) for _ in range(20)}

    def settled(workers, starts):
        """Every worker has sampled since it began."""
        found = scrape(where)
        told = [name for name, *_ in found if name == "megahertz_tasks"]
        return found if len(told) == workers and found[STARTS,] == starts else None

    before = until(lambda: settled(2, 2))
    route = (("method", "GET"), ("route", "/pid"))
    assert before["megahertz_requests_total", *route, ("status", "2xx")] == 20
    assert before["megahertz_requests_received_total",] == 20
    assert before["megahertz_worker_failures_total",] == 0
    assert before["megahertz_workers",] == 2

    os.kill(pids.pop(), signal.SIGKILL)
    after = until(lambda: settled(2, 3))
    assert after["megahertz_requests_total", *route, ("status", "2xx")] == 20
    assert after["megahertz_requests_received_total",] == 20
    assert after["megahertz_connections_accepted_total",] == 20
    assert after["megahertz_worker_failures_total",] == 1
    assert served.end() == 0


STARTS = "megahertz_worker_starts_total"


def test_one_process_tells_on_a_port_of_its_own_as_well(serve, tmp_path):
    (tmp_path / "plain.py").write_text(PLAIN)
    served = serve("plain:app", "--port", "0", "--metrics", "127.0.0.1:0")
    where = re.search(r"http\S+/metrics", served.process.stderr.readline())[0]
    served.wait_for_url()
    served.get("/pid")

    found = scrape(where)
    route = (("method", "GET"), ("route", "/pid"), ("status", "2xx"))
    assert found["megahertz_requests_total", *route] == 1
    assert found["megahertz_requests_received_total",] == 1
    assert found["megahertz_tasks", ("worker", "0")] >= 1
    assert served.end() == 0


def test_requests_of_an_asgi_application_are_counted_in_front_of_it(serve, tmp_path):
    (tmp_path / "hosted.py").write_text(HOSTED)
    served = serve("hosted:app", "--port", "0", "--metrics", "127.0.0.1:0", "--lifespan", "off")
    where = re.search(r"http\S+/metrics", served.process.stderr.readline())[0]
    served.wait_for_url()
    served.get("/anything")

    found = {key: value for key, value in scrape(where).items() if value}
    told = [dict(labels) for name, *labels in found if name == "megahertz_requests_total"]
    assert told == [{"method": "*", "route": "", "status": "2xx"}]
    assert served.end() == 0


HOSTED = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


@pytest.mark.parametrize("wrong", ["x", "127.0.0.1", "127.0.0.1:70000", "nowhere.invalid:1"])
def test_an_address_that_is_none_is_refused(serve, tmp_path, wrong):
    served = serve("shop:app", "--port", "0", "--metrics", wrong)
    assert served.process.wait(20) in (1, 2, 3)


COUNTED = """
from prometheus_client import Counter
from megahertz import App

sold = Counter("orders_sold", "Sold.")
app = App()

@app.get("/sell")
async def sell() -> None:
    sold.inc()
"""


def test_the_programs_own_counters_of_all_workers_are_told_there(serve, tmp_path):
    (tmp_path / "sold.py").write_text(COUNTED)
    folder = tmp_path / "counts"
    folder.mkdir()
    options = ("--port", "0", "--workers", "2", "--metrics", "127.0.0.1:0")
    served = serve("sold:app", *options, PROMETHEUS_MULTIPROC_DIR=str(folder))
    where = re.search(r"http\S+/metrics", served.process.stderr.readline())[0]
    served.wait_for_url()
    for _ in range(20):
        served.get("/sell")

    assert scrape(where)["orders_sold_total",] == 20
    assert served.end() == 0
