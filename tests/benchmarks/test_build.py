"""What the servers are built with and run on."""

import sys

import pytest

from benchmarks import build

THEIRS = "/usr/bin/python3"


@pytest.mark.parametrize(
    ("flags", "theirs", "chosen"),
    [
        ("'--enable-shared'", "cpython-311", THEIRS),
        ("'--enable-shared' '--enable-optimizations'", "cpython-311", None),
        ("'--enable-shared'", "cpython-313", None),
        ("'--enable-shared'", "", None),
        (None, "cpython-311", THEIRS),
    ],
    ids=["plain", "optimised", "another version", "none there", "unknown"],
)
def test_servers_run_on_an_optimised_interpreter(monkeypatch, flags, theirs, chosen):
    monkeypatch.setattr(build.sysconfig, "get_config_var", lambda name: flags)
    monkeypatch.setattr(build, "_abi", lambda it: theirs if it == THEIRS else "cpython-311")
    assert build.interpreter() == (chosen or sys.executable)


def test_interpreters_are_compared_by_what_native_modules_they_load():
    assert build._abi(sys.executable).startswith("cpython-3")
    assert build._abi("/nowhere/python3") == ""


@pytest.mark.parametrize(
    ("mark", "said"), [("profile-guided\n", ", profile-guided"), ("\n", ""), (None, "")]
)
def test_a_guided_build_is_named(monkeypatch, tmp_path, mark, said):
    monkeypatch.setattr(build.sys, "prefix", str(tmp_path))
    if mark is not None:
        (tmp_path / ".native-release").write_text(mark)
    assert build.guided() == said


def test_a_program_gets_its_environment_and_input(tmp_path):
    script = "import os, sys; assert os.environ['GIVEN'] + sys.stdin.read() == 'ab'"
    build.run(sys.executable, "-c", script, environment={"GIVEN": "a"}, text="b")
    with pytest.raises(build.Missing, match=r"failed: (?s:.*)AssertionError"):
        build.run(sys.executable, "-c", script, environment={"GIVEN": "b"}, text="b")
