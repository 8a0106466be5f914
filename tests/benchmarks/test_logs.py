"""The table of what logging costs, out of a result as it is stored."""

from benchmarks import logs
from benchmarks.result import spreads


def result():
    way = {"cpu_us": [10.0, 12.0, 11.0], "rps": [90_000.0] * 3, "p99_us": [1500.0] * 3}
    slow = {"cpu_us": [22.0] * 3, "rps": [45_000.0] * 3, "p99_us": [4500.0] * 3}
    machine = {"cpu": "a processor", "cores": 2, "kernel": "6.1", "python": "3.11.7"}
    return {
        "work": "logs",
        "when": "2026-11-21T20:00:00",
        "commit": "0123456789ab",
        "machine": machine,
        "method": {"rounds": 3, "seconds": 2.0},
        "ways": {name: spreads(way if name == "off" else slow) for name in logs.WAYS},
    }


def test_each_way_is_a_row_beside_no_logging():
    head, _, first, *others = logs.table(result())
    assert head.startswith("| three records a request |")
    assert first == "| no logging | 11.0 us | +0% | 90,000 | +0% | 1.5 ms | +0.0 ms |"
    rows = others[: len(logs.WAYS) - 1]
    assert all("| 22.0 us | +100% | 45,000 | -50% | 4.5 ms | +3.0 ms |" in row for row in rows)
    assert others[-1].startswith("`python -m benchmarks.logs`, 2026-11-21")
    assert "medians of 3 rounds in turn of 2 s" in others[-1]
