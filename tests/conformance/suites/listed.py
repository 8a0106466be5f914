"""What of the suites of others may fail, and why: `suites/*.txt`.

`reason:` on a line of its own, then node ids it holds for; `~ ` before one: whether it fails
depends on the machine. A node id may end with `*`.
"""

import os
from pathlib import Path

import pytest


def mark(items: list[pytest.Item], path: Path) -> None:
    """Marks the tests that are listed in a file; they have to fail.

    Raises:
        UsageError: it names tests that are not there, and the suite is whole.
    """
    known, used = listed(path), set()
    for item in items:
        name = next((name for name in known if _is_named(item.nodeid, name)), None)
        if name is not None:
            used.add(name)
            reason, must = known[name]
            item.add_marker(pytest.mark.xfail(reason=reason, strict=must))
    unknown = sorted(set(known) - used)
    if unknown and os.environ.get("MEGAHERTZ_SUITE_WHOLE"):
        raise pytest.UsageError(f"{path.name} names tests that are not there: {unknown}")


def listed(path: Path) -> dict[str, tuple[str, bool]]:
    """What may fail: its reason, and whether it must."""
    found, reason = {}, ""
    for line in path.read_text().splitlines():
        if line.endswith(":") and not line.startswith("#"):
            reason = line[:-1]
        elif line and not line.startswith("#"):
            found[line.removeprefix("~ ")] = reason, not line.startswith("~ ")
    return found


def _is_named(nodeid: str, name: str) -> bool:
    return nodeid.startswith(name[:-1]) if name.endswith("*") else nodeid == name
