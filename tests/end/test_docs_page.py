"""The documentation's page as people use it: opened and tried out in a browser."""

import asyncio
import json
import shutil
import subprocess

import aiohttp
import pytest

from examples import inventory
from megahertz.testing import Client

FILL = """
(async () => {
  const seen = async (find) => {
    for (let left = 200; left > 0; left--) {
      const found = find();
      if (found) return found;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    throw new Error("not on the page: " + find);
  };
  const block = await seen(() => document.querySelector("#operations-articles-created"));
  (await seen(() => block.querySelector(".opblock-summary-control"))).click();
  const text = await seen(() => block.querySelector("textarea"));
  const set = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
  set.call(text, JSON.stringify({name: "from the page", price: 5}));
  text.dispatchEvent(new Event("input", {bubbles: true}));
  (await seen(() => block.querySelector(".execute"))).click();
  const row = await seen(() =>
    block.querySelector(".live-responses-table tbody .response-col_status"));
  return row.innerText.trim();
})()
"""


async def evaluate(port: int, url: str, script: str) -> object:
    """What a script on the page comes to, by the browser's DevTools protocol."""
    async with aiohttp.ClientSession() as session:
        async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as reply:
            socket = json.loads(await reply.text())["webSocketDebuggerUrl"]
        async with session.ws_connect(socket) as page:
            await page.send_json({"id": 1, "method": "Page.enable"})
            await page.send_json({"id": 2, "method": "Page.navigate", "params": {"url": url}})
            await said(page, lambda it: it.get("method") == "Page.loadEventFired")
            asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
            await page.send_json({"id": 3, "method": "Runtime.evaluate", "params": asked})
            found = await said(page, lambda it: it.get("id") == 3)
    assert "exceptionDetails" not in found["result"], found
    return found["result"]["result"]["value"]


async def said(page, wanted):
    """The next message of that kind."""
    while not wanted(found := await page.receive_json()):
        pass
    return found


def test_a_request_is_sent_from_the_page(tmp_path):
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("chromium is missing: run tests/servers.sh, or apt-get install chromium")
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command += ["--remote-debugging-port=0", "about:blank"]
    inventory.kept.clear()
    with (
        Client(inventory.app) as client,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser,
    ):
        try:
            line = next(text for text in browser.stderr if "DevTools listening" in text)
            port = int(line.rpartition(":")[2].partition("/")[0])
            url = f"http://127.0.0.1:{client.port}/docs"
            status = asyncio.run(evaluate(port, url, FILL))
        finally:
            browser.kill()
    assert status == "201"
    assert [article.name for _, article in inventory.kept.values()] == ["from the page"]
