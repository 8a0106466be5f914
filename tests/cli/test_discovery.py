"""Real workers in a real etcd: registered, reloaded, reconfigured, and gone before they refuse."""

import asyncio
import json
import threading

from megahertz.backends import Etcd
from megahertz.govern.config import Documents
from megahertz.govern.registry import EtcdRegistry

APP = """
import asyncio, os
from pathlib import Path
import msgspec
from megahertz import App
from megahertz.backends import Etcd
from megahertz.govern.balance import Instance
from megahertz.govern.config import Configuration
from megahertz.govern.registry import EtcdRegistry

class Shop(msgspec.Struct, frozen=True):
    limit: int = 100

etcd = Etcd(os.environ["ETCD"])
settings = Configuration(Shop, etcd=etcd, key="e2e/shop", required=True)
here = EtcdRegistry(etcd).register("e2e", Instance(host="10.0.0.7", port=8000), linger=0.0)
app = App(resources=[etcd, settings, here])

@app.get("/pid")
async def pid() -> int:
    return os.getpid()

@app.get("/limit")
async def limit() -> list[int]:
    return [os.getpid(), settings.value.limit]

@app.get("/wait")
async def wait() -> str:
    Path("entered").touch()
    while not Path("leave").exists():
        await asyncio.sleep(0.01)
    return "done"
"""


def ask(server, question):
    """One question to etcd, from outside."""

    async def asking():
        async with Etcd(server.endpoint) as client:
            return await question(client)

    return asyncio.run(asking())


def keys(server):
    return [it.key for it in ask(server, lambda client: client.list("services/e2e/")).entries]


async def instances(client):
    return [it.name for it in await anext(EtcdRegistry(client).watch("e2e"))]


async def change(client):
    documents = Documents(client, "e2e/shop")
    now = await documents.read()
    return await documents.write(b'{"limit": 5}', expected=now.version, by="test")


def test_workers_stand_in_the_registry_follow_settings_and_leave_first(
    etcd, serve, tmp_path, until
):
    (tmp_path / "found.py").write_text(APP)
    arguments = ("found:app", "--host", "127.0.0.1", "--port", "0", "--workers", "2")
    served = serve(*arguments, ETCD=etcd.endpoint).wait_for_url()
    until(lambda: len(keys(etcd)) == 2)
    assert ask(etcd, instances) == ["10.0.0.7:8000"]

    ask(etcd, change)
    seen = {}

    def changed_everywhere():
        pid, limit = json.loads(served.get("/limit"))
        seen[pid] = limit
        return len(seen) == 2 and set(seen.values()) == {5}

    until(changed_everywhere)

    # A request that lasts: the drain waits for it, the registry does not.
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(served.get("/wait")))
    waiting.start()
    until((tmp_path / "entered").exists)
    served.process.terminate()
    until(lambda: keys(etcd) == [])
    assert not answers and served.process.poll() is None
    (tmp_path / "leave").touch()
    waiting.join(20)
    assert answers == [b"done"]
    assert served.process.wait(20) == 0
