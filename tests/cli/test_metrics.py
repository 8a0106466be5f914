"""What several workers have counted, asked of one."""

import http.client
import threading
from collections import Counter

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
