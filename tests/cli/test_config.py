"""`mhz config` against a real etcd."""

import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

from megahertz.cli.main import main

SETTINGS = """
    import msgspec
    from megahertz.govern.config import Configuration

    class Shop(msgspec.Struct, frozen=True):
        limit: int = 100

    settings = Configuration(Shop)
    other = 5
"""


@pytest.fixture
def mhz(etcd, tmp_path, monkeypatch):
    """Runs a command in a folder with `settings_of_shop.py`; gives its output."""
    (tmp_path / "settings_of_shop.py").write_text(textwrap.dedent(SETTINGS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MHZ_ETCD", etcd.endpoint)

    def run(*words, code=0):
        done = CliRunner().invoke(main, ["config", *map(str, words)])
        assert done.exit_code == code, done.output
        return done.output

    return run


def version(said):
    return int(said.split("version ")[1].split(",")[0])


def test_settings_are_written_and_read(mhz):
    assert mhz("get", "cli/a") == "{}\n"
    mhz("set", "cli/a", "limit=5", "database.pool=20", "database.name=shop", "zones=[1]")

    assert mhz("get", "cli/a", "database") == '{\n  "pool": 20,\n  "name": "shop"\n}\n'
    assert mhz("get", "cli/a", "zones") == "[\n  1\n]\n"
    mhz("set", "cli/a", "--unset", "database.pool", "--unset", "zones")
    assert mhz("get", "cli/a", "database.name") == '"shop"\n'
    assert "says nothing of database.pool" in mhz("get", "cli/a", "database.pool", code=1)
    assert "zones is not set" in mhz("set", "cli/a", "--unset", "zones", code=1)
    assert "'limit' is no group" in mhz("set", "cli/a", "limit.most=5", code=1)
    assert "PATH=VALUE expected" in mhz("set", "cli/a", "limit", code=2)
    assert "nothing to change" in mhz("set", "cli/a", code=2)


def test_history_is_listed_compared_and_brought_back(mhz):
    first = version(mhz("set", "cli/b", "limit=1", "--why", "a beginning"))
    second = version(mhz("set", "cli/b", "limit=2"))

    newest, oldest = mhz("history", "cli/b").splitlines()
    assert newest.split()[0] == str(second) and oldest.endswith("a beginning")
    assert '-  "limit": 1\n+  "limit": 2' in mhz("diff", "cli/b", first)
    assert '-  "limit": 2\n+  "limit": 1' in mhz("diff", "cli/b", second, first)
    said = mhz("rollback", "cli/b", first)
    assert said.endswith(f"as version {first} was\n")
    assert mhz("get", "cli/b", "limit") == "1\n"
    assert "no version 1 in its history" in mhz("rollback", "cli/b", 1, code=1)


def test_a_bad_document_is_not_written(mhz, tmp_path):
    said = mhz("set", "cli/c", "limit=many", "--check", "settings_of_shop:settings", code=1)

    assert "Shop: Expected `int`, got `str`" in said
    assert mhz("get", "cli/c") == "{}\n"
    (tmp_path / "good.toml").write_text("limit = 5\n")
    mhz("set", "cli/c", "--file", "good.toml", "--check", "settings_of_shop:settings")
    assert mhz("get", "cli/c", "limit") == "5\n"
    assert mhz("validate", "settings_of_shop:settings", "good.toml") == "good.toml is good\n"
    (tmp_path / "bad.toml").write_text("limits = 5\n")
    said = mhz("validate", "settings_of_shop:settings", "bad.toml", code=1)
    assert "did you mean 'limit'?" in said
    assert "is no Configuration" in mhz("validate", "settings_of_shop:other", "good.toml", code=1)


def test_changes_are_watched(mhz):
    at = version(mhz("set", "cli/d", "limit=1"))

    assert mhz("watch", "cli/d", "--count", 1) == f'# version {at}\n{{\n  "limit": 1\n}}\n'
    words = [sys.executable, "-m", "megahertz", "config", "watch", "cli/d", "--count", "2"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        shown = [next(watching.stdout) for _ in range(4)]
        assert shown[0] == f"# version {at}\n"
        at = version(mhz("set", "cli/d", "limit=2"))
        assert watching.stdout.read() == f'# version {at}\n{{\n  "limit": 2\n}}\n'
    assert watching.returncode == 0


def test_without_etcd_it_says_where_it_looked(mhz):
    said = mhz("--etcd", "127.0.0.1:1", "get", "cli/a", code=1)

    assert "etcd 127.0.0.1:1: 127.0.0.1:1: refused the connection; nothing was asked" in said


def test_every_command_has_an_example(mhz):
    for command in ("get", "set", "history", "diff", "rollback", "watch", "validate"):
        assert f"mhz config {command} " in mhz(command, "--help")
