"""The overview as people use it: opened in a browser, fed by a server, asked for its token."""

import asyncio
import shutil
import subprocess

import pytest

from megahertz import GCRA, App, Policy
from megahertz.http import Overview
from megahertz.observe import Tracing
from megahertz.testing import Client
from tests.end.test_docs_page import evaluate

TOKEN = "a-token-of-24-characters"
EVIL = "<img src=x onerror=document.title='broken'>"

SEEN = """
(async () => {
  const seen = async (find) => {
    for (let left = 400; left > 0; left--) {
      const found = find();
      if (found) return found;
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    throw new Error("not on the page: " + find);
  };
  const text = id => document.querySelector("#" + id).innerText;
  %s
  await seen(() => text("events").includes("onerror"));
  await seen(() => text("refusals").includes("limit"));
  const slow = await seen(() => document.querySelector("#slow details"));
  slow.open = true;
  document.querySelector("#pause").click();
  return {
    title: document.title, images: document.images.length, routes: text("routes"),
    workers: text("workers"), rules: text("rules"), slow: slow.innerText,
    paused: document.querySelector("#pause").getAttribute("aria-pressed"),
    wide: document.documentElement.scrollWidth - innerWidth,
    unnamed: [...document.querySelectorAll("table")].filter(it => !it.caption).length,
  };
})()
"""

GIVE = f"""
  const dialog = await seen(() => document.querySelector("dialog[open]"));
  dialog.querySelector("input").value = "{TOKEN}";
  dialog.querySelector("button").click();
"""


def shop(**options):
    tracing = Tracing(1.0, keep=64)
    app = App(title=EVIL, overview=Overview(**options), layers=[tracing])

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError(EVIL)

    @app.get("/limited", policy=Policy(limit=GCRA(1, per=3600)))
    async def limited() -> str:
        return "ok"

    return app


@pytest.mark.parametrize("token", [None, TOKEN], ids=["local", "token"])
def test_it_shows_what_happens_and_runs_nothing_of_it(tmp_path, token):
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("chromium is missing: run tests/servers.sh, or apt-get install chromium")
    command = [found, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command += ["--remote-debugging-port=0", "--window-size=400,900", "about:blank"]
    with (
        Client(shop(token=token)) as client,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser,
    ):
        try:
            line = next(text for text in browser.stderr if "DevTools listening" in text)
            port = int(line.rpartition(":")[2].partition("/")[0])
            for path in ("/limited", "/limited", "/broken"):
                client.get(path)
            url = f"http://127.0.0.1:{client.port}/_mhz/"
            script = SEEN % (GIVE if token else "")
            page = asyncio.run(evaluate(port, url, script))
        finally:
            browser.kill()
    assert page["title"] == f"{EVIL} · overview"
    assert page["images"] == 0
    assert page["paused"] == "true"
    assert page["wide"] <= 0
    assert page["unnamed"] == 0
    assert "GET /broken" in page["routes"]
    assert "MiB" in page["workers"]
    assert "GCRA 1/3600" in page["rules"]
    assert "GET /" in page["slow"]
