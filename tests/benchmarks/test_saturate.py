"""The generator beside independent ones: what is made of their figures."""

import pytest

from benchmarks import saturate
from benchmarks.generator import Bad

TIMES = {"p50": 0.01, "p90": 0.018, "p99": 0.02}
FOUND = {
    "when": "2026-11-21T10:00:00+00:00",
    "commit": "abc",
    "machine": {"cpu": "a CPU", "cores": 2, "kernel": "6.1", "load": 1.5},
    "method": {"rounds": 5, "seconds": 3, "connections": 64},
    "rate": {"wrk": {"qps": 100_000.0}, "mhz load": {"qps": 95_000.0}},
    "times": {"h2load": TIMES, "mhz load": {name: t * 1.01 for name, t in TIMES.items()}},
    "ratio": 0.95,
    "apart": dict.fromkeys(TIMES, 0.01),
}


def test_the_table_has_both_and_how_they_differ():
    lines = saturate.table(FOUND)
    assert "| 100,000 | 95,000 | x 0.95 |" in lines[2]
    assert "| 10.00 ms | 10.10 ms | +1.0% |" in lines[3]
    assert "5 alternating rounds of 3 s" in lines[-1]


def test_percentiles_come_from_every_line_of_the_log(monkeypatch):
    def fake(*command):
        log = command[-2].removeprefix("--log-file=")
        with open(log, "w") as out:
            out.writelines(f"1\t200\t{microseconds}\n" for microseconds in range(100, 0, -1))

    monkeypatch.setattr(saturate, "_said", fake)
    assert saturate.h2load("http://h/", 1) == pytest.approx(
        {"p50": 51e-6, "p90": 91e-6, "p99": 100e-6}
    )


def test_a_bad_answer_is_no_figure(monkeypatch):
    def fake(*command):
        with open(command[-2].removeprefix("--log-file="), "w") as out:
            out.write("1\t503\t5\n")

    monkeypatch.setattr(saturate, "_said", fake)
    with pytest.raises(Bad):
        saturate.h2load("http://h/", 1)
    monkeypatch.setattr(saturate, "_said", lambda *command: "Socket errors: connect 1")
    with pytest.raises(Bad):
        saturate.wrk("http://h/", 1)


def test_a_command_that_fails_is_told():
    with pytest.raises(Bad, match="false"):
        saturate._said("false")


def test_the_median_is_of_each_figure():
    figures = [{"qps": 1.0, "p50": 9.0}, {"qps": 3.0, "p50": 8.0}, {"qps": 2.0, "p50": 7.0}]
    assert saturate._medians(figures) == {"qps": 2.0, "p50": 8.0}
