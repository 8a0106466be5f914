"""How CPython was compiled, as its own file tells it.

Theory: what `sysconfig` has is what configure was told, and a profile may be used without that:
Debian's build calls `make profile-opt` itself. GCC writes its options into the debug information
of all that it compiles (DW_AT_producer), `-fprofile-use` among them. Where that was stripped, or
another compiler was used, nothing is known, and nothing is said.
"""

import mmap
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from megahertz.observe.doctor.facts import Facts, Finding, Severity

_PRODUCER: Final = re.compile(rb"GNU C\d* [\d.]+ ([^\0]*-O[^\0]*)\0")

_OWN: Final = ("-fwrapv", "-fno-strict-overflow")
"""One of them is in all of CPython's own, before and from 3.12 on; what is linked to it has not."""

_MAPPED: Final = re.compile(
    r"(/\S*/(?:(libpython3)[^/\s]*\.so[^/\s]*|python[\d.]*))$", re.MULTILINE
)


def mapped(text: str) -> str:
    """The file with the interpreter in it, from `/proc/PID/maps`; empty where there is none."""
    found = sorted(_MAPPED.findall(text), key=lambda one: not one[1])
    return found[0][0] if found else ""


def options(path: Path) -> tuple[str, ...]:
    """Of the compiler, for CPython's own files; none where the file does not tell."""
    with suppress(OSError, ValueError), path.open("rb") as file:  # ValueError: it is empty
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            told = {found.decode("latin-1") for found in _PRODUCER.findall(content)}
        return tuple(sorted(one for one in told if any(option in one for option in _OWN)))
    return ()


def unprofiled(facts: Facts) -> Iterator[Finding]:
    """Interpreters that were compiled without a profile."""
    for path, told in facts.interpreters.items():
        if not told or any("-fprofile-use" in one for one in told):
            continue
        yield Finding(
            check="unprofiled",
            severity=Severity.NOTICE,
            title=f"{path} was built without profile-guided optimisation",
            evidence=f"its debug information: {told[0]}",
            path=(
                "every step of a handler takes more of the processor than it has to",
                "the compiler did not know which branches of the interpreter are taken",
            ),
            fix='pyenv: PYTHON_CONFIGURE_OPTS="--enable-optimizations --with-lto" pyenv install '
            "--force VERSION, and a new environment; Debian's python3 and the python images of "
            "Docker are built so",
        )


CHECKS = (unprofiled,)
