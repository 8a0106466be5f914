"""Schemathesis against the examples: what their OpenAPI documents promise is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from examples import hello, inventory
from megahertz.testing import Client

EXAMPLES = 40
"""Requests generated for each operation, beside those of its boundaries and of sequences."""


@pytest.mark.parametrize("app", [hello.app, inventory.app], ids=lambda app: app.title)
def test_nothing_is_found(app, tmp_path):
    with Client(app) as client:
        url = f"http://127.0.0.1:{client.port}/openapi.json"
        options = ["--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"]
        schemathesis = Path(sys.executable).with_name("schemathesis")
        done = subprocess.run(
            [schemathesis, "run", url, *options], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
