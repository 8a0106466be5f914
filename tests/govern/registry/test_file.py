"""A file that is replaced, broken and taken away."""

import json
import os

import pytest

from megahertz.govern.balance import Instance
from megahertz.govern.registry import FileRegistry
from tests.virtual import virtual

GOOD = {"orders": [{"host": "a", "port": 1, "weight": 2, "zone": "z", "labels": {"v": "1"}}]}


class File:
    def __init__(self, folder):
        self.path = folder / "services.json"

    def replace(self, text):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text if isinstance(text, str) else json.dumps(text))
        os.replace(fresh, self.path)


@virtual
async def test_a_file_is_told_when_it_is_replaced(tmp_path):
    file = File(tmp_path)
    file.replace(GOOD)
    lists = FileRegistry(file.path).watch("orders")

    labels = {"v": "1"}
    first = [Instance(host="a", port=1, weight=2, zone="z", labels=labels)]
    assert await anext(lists) == first
    file.replace({"orders": [], "stock": []})
    assert await anext(lists) == []
    file.replace(json.dumps({"orders": []}) + " ")  # nothing new
    file.replace(GOOD)
    assert await anext(lists) == first
    await lists.aclose()


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        '{"stock": []}',
        '{"orders": [{"host": "a"}]}',
        '{"orders": [{"host": "a", "port": 0}]}',
        None,
    ],
    ids=["torn", "list", "other", "field", "port", "gone"],
)
@virtual
async def test_a_bad_file_is_refused_and_the_next_good_one_told(tmp_path, caplog, bad):
    file, said = File(tmp_path), []
    file.replace(GOOD)
    lists = FileRegistry(file.path).watch("orders")
    await anext(lists)

    def look():
        said.append(len(said))
        if len(said) == 3:
            file.replace({"orders": [{"host": "b", "port": 2}]})
        return FileRegistry._stamp(registry)

    registry = FileRegistry(file.path)
    registry._stamp = look
    if bad is None:
        file.path.unlink()
    else:
        file.replace(bad)
    again = registry.watch("orders")
    found = await anext(again)

    assert [it.name for it in found] == ["b:2"]
    assert caplog.text.count("the last list stays") == 1
    await lists.aclose()
    await again.aclose()
