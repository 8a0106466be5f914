"""What a process holds that was not asked for it: nothing of what most services do without."""

import subprocess
import sys

import pytest

OTHERS = {
    "asyncpg",
    "backports.zstd",
    "brotli",
    "google.protobuf",
    "grpc",
    "http.cookiejar",
    "idna",
    "multipart",
    "opentelemetry",
    "redis",
    "rich",
    "uvicorn",
    "watchfiles",
}
OURS = {
    "megahertz.backends.etcd",
    "megahertz.backends.redis",
    "megahertz.backends.sqlite",
    "megahertz.cache.tiers",
    "megahertz.cli.top",
    "megahertz.engine.client",
    "megahertz.engine.supervisor",
    "megahertz.http.client",
    "megahertz.http.form_body",
    "megahertz.load",
    "megahertz.observe.doctor",
    "megahertz.observe.otel",
    "megahertz.observe.profile",
    "megahertz.observe.runtime",
}

HELLO = """
import sys
from megahertz import App

app = App()

@app.get("/")
async def hello() -> dict[str, str]:
    return {"msg": "ok"}

@app.get("/modules")
async def modules() -> str:
    return " ".join(sys.modules)
"""


def modules(*statements: str) -> set[str]:
    """What a new interpreter has imported after them."""
    code = "; ".join(["import sys", *statements, "print(*sys.modules)"])
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(said.stdout.split())


def test_the_package_alone_imports_nothing_heavy():
    found = modules("import megahertz")

    assert found & (OTHERS | OURS) == set()
    assert "megahertz.http.app" in found


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_worker_that_has_answered_holds_nothing_heavy(serve, tmp_path, workers):
    (tmp_path / "own.py").write_text(HELLO)
    served = serve("own:app", "--port", "0", "--workers", workers).wait_for_url()
    assert served.get("/") == b'{"msg":"ok"}'

    found = set(served.get("/modules").decode().split())

    assert found & (OTHERS | OURS) == set()
    assert {"own", "megahertz.cli.run"} <= found
    assert served.end() == 0


@pytest.mark.parametrize(
    ("statement", "brings"),
    [
        ("from megahertz import Client", {"megahertz.http.client", "idna", "http.cookiejar"}),
        ("import megahertz; megahertz.Client", {"megahertz.http.client"}),
        ("from megahertz import *; Client", {"megahertz.http.client"}),
        ("import megahertz; megahertz.backends.redis", {"megahertz.backends.redis"}),
        ("from megahertz.backends import SQLiteSink", {"megahertz.backends.sqlite"}),
        ("from megahertz.cache import cached", {"megahertz.cache.tiers"}),
        ("from megahertz.observe import Tracing; Tracing()", {"opentelemetry"}),
    ],
)
def test_who_asks_for_more_gets_it(statement, brings):
    assert brings <= modules(statement)
