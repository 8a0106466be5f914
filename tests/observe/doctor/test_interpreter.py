"""How an interpreter was compiled: files as GCC leaves them, and this one."""

import sys
import sysconfig

import pytest

from megahertz.observe.doctor import Facts, Machine, examine
from megahertz.observe.doctor.interpreter import mapped, options

PLAIN = "-mtune=generic -g -O3 -std=c11 -fwrapv -fPIC"
PROFILED = "-mtune=generic -g -O3 -std=c11 -fwrapv -fprofile-use -fprofile-correction"
LATER = PLAIN.replace("-fwrapv", "-fno-strict-overflow")
LINKED = "-g -O2 -fPIC"


def compiled(*told: str) -> bytes:
    units = "\0".join(f"GNU C11 12.2.0 {one}" for one in told)
    return b"\x7fELF" + b"\0" * 60 + units.encode() + b"\0long int\0"


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([PLAIN], 1),
        ([LATER], 1),
        ([PLAIN, LINKED], 1),
        ([PROFILED], 0),
        ([PROFILED, PLAIN], 0),  # as an extension that is built in may be
        ([LINKED], 0),
        ([], 0),
    ],
)
def test_only_what_its_file_says_is_believed(tmp_path, told, found):
    file = tmp_path / "libpython3.11.so.1.0"
    file.write_bytes(compiled(*told))

    findings = examine(Facts(interpreters={str(file): options(file)}))

    assert [finding.check for finding in findings] == ["unprofiled"] * found
    assert all(PLAIN in one.evidence or LATER in one.evidence for one in findings)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", None])
def test_a_file_that_tells_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "python3").write_bytes(content)
    assert options(tmp_path / "python3") == ()


def test_the_library_is_the_interpreter_where_there_is_one():
    line = "7f00-7f01 r-xp 0000 08:01 42  "
    program, library = "/opt/my python/bin/python3.11", "/opt/lib/libpython3.11.so.1.0"

    assert mapped(f"{line}{program}\n{line}{library}\n") == library
    assert mapped(f"{line}/usr/bin/python3.13\n") == "/usr/bin/python3.13"
    assert mapped(f"{line}/usr/lib/python3.11/lib-dynload/_json.so\n{line}[heap]\n") == ""


def test_of_a_process_its_own_files_are_looked_at(tmp_path):
    """In a container they are others than here."""
    library = tmp_path / "proc/self/root" / "usr/lib/libpython3.12.so.1.0"
    library.parent.mkdir(parents=True)
    library.write_bytes(compiled(LATER))
    (tmp_path / "proc/self/maps").write_text("0-1 r-xp 0 0:0 7 /usr/lib/libpython3.12.so.1.0\n")

    facts = Machine(tmp_path, list).look(None, lambda: 0.0)

    assert facts.interpreters == {"/usr/lib/libpython3.12.so.1.0": (LATER,)}
    assert Machine(tmp_path, list).look(80, lambda: 0.0).interpreters == {}


def test_this_interpreter():
    """Told to use a profile or not by configure: where the file tells, it tells the same."""
    facts = Machine().look(None, lambda: 0.0)

    assert len(facts.interpreters) == 1, sys.executable
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        assert "unprofiled" not in [finding.check for finding in examine(facts)]
