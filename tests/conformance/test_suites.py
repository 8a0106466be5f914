"""Starlette's and FastAPI's own tests, with our test client where Starlette's was, and redis-py's.

`MEGAHERTZ_SUITES=all pytest tests/conformance/test_suites.py` runs FastAPI's whole suite, as before
a release; otherwise it is all of Starlette's, FastAPI's without its telemetry, and redis-py's tests
of commands, pipelines, locks, scripts and encodings.
What is not meaningful here is in `suites/*.txt`, with reasons: it has to fail.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADAPTER = Path(__file__).parent / "suites"
WHOLE = os.environ.get("MEGAHERTZ_SUITES") == "all"
OFF = ("-p", "no:megahertz", "-p", "no:cacheprovider", "--timeout", "30")
PLUGINS = ("-p", "adapter", "-p", "no:asyncio", *OFF)
LEAST = {"starlette": 725, "fastapi": 4950 if WHOLE else 4700}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def python():
    subprocess.run([ROOT / "tests/suites.sh"], check=True)
    return ROOT / ".venv-suites/bin/python"


@pytest.mark.parametrize("suite", ["starlette", "fastapi"])
def test_the_suite_of_others_passes(python, suite):
    part = ["--ignore", "tests/test_telemetry"] if suite == "fastapi" and not WHOLE else []
    run = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "2", *PLUGINS, *part, "tests"],
        cwd=python.parents[1] / suite,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}:{ADAPTER}",
            "MEGAHERTZ_SUITE": suite,
            "MEGAHERTZ_SUITE_WHOLE": "" if part else "1",
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= LEAST[suite], run.stdout[-1_000:]


REDIS = ("commands", "pipeline", "lock", "scripting", "encoding")
REDIS_LEAST = 325
"""Of some 490: what needs a newer server than 7.0 is skipped by their own marks."""


def test_redis_pys_own_tests_pass_with_our_client(python, redis_server):
    files = [f"tests/test_asyncio/test_{name}.py" for name in REDIS]
    marks = ["-m", "not redismod and not onlycluster", "--redis-url", redis_server.url]
    run = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "redis_adapter", "--tb=native", *OFF, *marks, *files],
        cwd=python.parents[1] / "redis",
        env={
            **os.environ,
            "PYTHONPATH": f"{python.parents[1] / 'ours'}:{ROOT / 'src'}:{ADAPTER}",
            "MEGAHERTZ_SUITE_WHOLE": "1",
        },
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) >= REDIS_LEAST, run.stdout[-1_000:]
