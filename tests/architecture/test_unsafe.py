"""docs/design/unsafe.md names every file with an unsafe block, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"\bunsafe\s+(\{|extern|impl|fn)")


def test_the_page_is_the_list_of_unsafe_files():
    page = (ROOT / "docs/design/unsafe.md").read_text()
    listed = set(re.findall(r"^\| `(rust/\S+\.rs)`", page, re.MULTILINE))
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.glob("rust/*/src/**/*.rs")
        if BLOCK.search(path.read_text())
    }

    assert listed == found
