"""From an empty folder to a tested service with one more route, by the README's own commands."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

ROUTE = '''

@orders.get("/of/{user}")
async def of(user: Annotated[str, Meta(max_length=40)], store: Stored) -> list[Order]:
    """List the orders of one user."""
    return [order for order in await store.list(0, 100) if order.user == user]
'''
TEST = """

def test_orders_of_a_user(client: Client) -> None:
    client.post("/orders/", json=SPANNER)
    assert len(client.get("/orders/of/jane").json()) == 1
    assert client.get("/orders/of/jim").json() == []
"""


def commands() -> list[str]:
    """The README's block about a service of one's own."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"```\n(mhz new .*?)```", text, re.DOTALL)
    assert block is not None
    return [line.partition("#")[0].strip() for line in block[1].splitlines()]


def run(command: str, folder: Path) -> str:
    """In a shell in which the environment is activated."""
    around = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    around.pop("COVERAGE_PROCESS_START", None)
    done = subprocess.run(
        command, cwd=folder, shell=True, capture_output=True, text=True, env=around
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """Made by the first command."""
    folder = tmp_path_factory.mktemp("empty")
    run(commands()[0], folder)
    return folder / "shop"


def test_its_own_tests_and_types_pass(shop):
    assert " passed" in run(commands()[1], shop)
    assert "Success" in run("mypy", shop)


def test_one_more_typed_route_is_a_few_lines(shop, tmp_path):
    mine = tmp_path / "shop"
    shutil.copytree(shop, mine)
    with (mine / "shop/orders.py").open("a") as file:
        file.write(ROUTE)
    with (mine / "tests/test_orders.py").open("a") as file:
        file.write(TEST)
    assert "7 passed" in run(commands()[1], mine)
    assert "Success" in run("mypy", mine)


def test_it_runs_and_keeps_what_its_document_promises(shop, tmp_path):
    command = [*commands()[2].split(), "--port", "0"]
    command[0] = str(BIN / command[0])
    around = os.environ | {"SHOP_DATABASE": str(tmp_path / "shop.db")}
    server = subprocess.Popen(command, cwd=shop, stdout=subprocess.PIPE, text=True, env=around)
    try:
        said = next(line for line in server.stdout if "serves http" in line)
        url = re.search(r"http://[\d.]+:\d+", said)[0]
        with closing(HTTPConnection(url.removeprefix("http://"), timeout=20)) as connection:
            connection.request("GET", "/docs")
            assert connection.getresponse().status == 200
        check = f"schemathesis run {url}/openapi.json --max-examples 20 --seed 1 --no-color"
        assert "No issues found" in run(check, tmp_path)
    finally:
        server.terminate()
        server.communicate(timeout=20)
