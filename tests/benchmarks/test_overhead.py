"""What the client adds, measured a few times: every kind of call is made, and has its row."""

import asyncio

from benchmarks.overhead import calls, measured, table
from benchmarks.result import about


def test_every_kind_of_call_has_a_row():
    figures = asyncio.run(measured(1, 5))
    found = about("overhead") | {"rounds": 1, "count": 5, "python": "3", "calls": figures}
    lines = table(found)

    for name in set(calls()) - {"pool", "deadline"}:
        assert any(line.startswith(f"| {name} |") for line in lines)
