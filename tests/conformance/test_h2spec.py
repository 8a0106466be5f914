"""h2spec's 145 cases: all over TLS; over cleartext all but one, which no server can pass there."""

import asyncio
import subprocess
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
import trustme

from megahertz.engine import Tls
from tests.engine.conftest import identity, whole

ROOT = Path(__file__).parents[2]
HTTP1_IS_SERVED_TOO = {"http2/3.5: Sends invalid connection preface"}
"""A port that speaks HTTP/1.1 as well answers a broken preface in that: 505, then the end."""


@pytest.fixture(scope="module")
def h2spec():
    subprocess.run([ROOT / "tests/h2spec.sh"], check=True)
    return ROOT / ".venv-h2spec/h2spec"


@pytest.fixture
def tls(tmp_path):
    return Tls(certificates=[identity(tmp_path, "127.0.0.1", ca=trustme.CA())])


async def hello(exchange):
    return "hello"


def failed(report: Path) -> tuple[int, set[str]]:
    """How many ran, and the names of those that failed or were skipped."""
    cases = list(xml.parse(report).getroot().iter("testcase"))
    wrong = [case for case in cases if case.find("passed") is None and len(case)]
    return len(cases), {f"{case.get('package')}: {case.get('classname')}" for case in wrong}


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "cleartext"])
async def test_h2spec(serve, h2spec, tls, tmp_path, secure):
    routes = {"GET /": hello, "POST /": (whole, {"streams": True})}
    async with serve(routes, tls=tls if secure else None) as site:
        report = tmp_path / "report.xml"
        command = [h2spec, "-h", "127.0.0.1", "-p", str(site.port), "-j", report, "-o", "5"]
        command += ["-t", "-k"] if secure else []
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
    count, wrong = failed(report)
    assert count == 145, said.decode()
    assert wrong == (set() if secure else HTTP1_IS_SERVED_TOO), said.decode()
