"""Counting for the optimiser: the right tools, and nothing of ours that it cannot be told."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import train
from benchmarks.build import ROOT, Missing

SAID = "rustc 1.95.0 (59807616e 2026-04-14)\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.2\n"


def test_counts_are_merged_by_the_llvm_that_rustc_has(monkeypatch, tmp_path):
    monkeypatch.setattr(train, "compiler", lambda: SAID)
    monkeypatch.setattr(train, "says", lambda *command: str(tmp_path / "lib"))
    with pytest.raises(Missing, match=r"llvm-profdata of LLVM 22.*apt-get install llvm-22"):
        train.profdata(tmp_path)
    debian = tmp_path / "llvm-22/bin/llvm-profdata"
    debian.parent.mkdir(parents=True)
    debian.touch()
    assert train.profdata(tmp_path) == str(debian)
    own = tmp_path / "bin/llvm-profdata"
    own.parent.mkdir()
    own.touch()
    assert train.profdata(tmp_path) == str(own), "rustup's own comes first"


def test_a_load_that_fails_is_not_counted(monkeypatch):
    monkeypatch.setattr(train, "SECONDS", 0.1)
    with pytest.raises(Missing, match=r"python.* failed"):
        train.load({}, "http://127.0.0.1:1/")


def test_what_has_been_counted_is_there_and_names_its_compiler():
    """`make install` compares these lines with what `rustc -vV` says."""
    assert train.LLVM.search(train.COMPILER.read_text())
    assert train.COUNTS.read_bytes().startswith(b"\xfflprofi\x81"), "an indexed profile"


def test_make_install_uses_the_counts_of_this_very_compiler_only(tmp_path, monkeypatch):
    monkeypatch.delenv("MAKEFLAGS", raising=False)  # of the make that runs the tests
    command = ["make", "--dry-run", "install", f"VENV={tmp_path}"]

    def said(*extra):
        return subprocess.run(
            [*command, *extra], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    same = train.compiler() == train.COMPILER.read_text()
    assert ("-Cprofile-use=" in said()) == same
    assert "-Cprofile-use=" not in said("SAME=")
    assert "Not guided by rust/profile" in said("SAME=")
    assert "-Cprofile-use=" not in said("PROFILE=dev")
    assert "Not guided" not in said("PROFILE=dev")


@pytest.mark.parametrize("course", train.COURSES, ids=lambda course: course.module)
def test_every_course_is_of_an_application_that_is_there(course):
    assert Path(ROOT, *train.PACKAGE.split("."), f"{course.module}.py").exists()
    assert all(path.startswith("/") for *_, path in course.asks)
