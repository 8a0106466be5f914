import subprocess

import pytest
from click.testing import CliRunner

from benchmarks import limiters
from benchmarks.build import Missing
from benchmarks.limiters import CLIENTS, ROWS, TOGETHER, nanoseconds, table


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("clients", [TOGETHER, CLIENTS[:5]], ids=["together", "apart"])
def test_every_row_decides(row, clients):
    assert nanoseconds(ROWS[row](len(clients) > 1), clients, 10) > 0


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_limit(row):
    calls = 2 * limiters.MOST + 10  # a leaky bucket has as many that wait
    with pytest.raises(ValueError, match="refused"):
        nanoseconds(ROWS[row](False), TOGETHER, calls)


def in_engine(*_, **__):
    lines = "gcra 10.0 20.0\nleaky 11.0 21.0\nwindow 12.0 22.0\n"
    return subprocess.CompletedProcess([], 0, stdout=lines)


def test_a_run_is_a_table(monkeypatch):
    monkeypatch.setattr(limiters.subprocess, "run", in_engine)
    monkeypatch.setattr(limiters, "about", lambda work: {"work": work})
    monkeypatch.setattr(limiters, "said", lambda found: "somewhere")
    found = limiters.measure(2, 20)

    lines = table(found)
    assert "| GCRA, in the engine | 10 ns | 20 ns |" in lines
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 3 + len(ROWS)
    assert "limits 5" in lines[-1]


def test_without_cargo_it_says_so(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(limiters.subprocess, "run", missing)
    ran = CliRunner().invoke(limiters.main, ["--rounds", "1", "--calls", "10"])
    assert ran.exit_code == 1
    assert "cargo" in ran.output


def test_what_cargo_says_is_told(monkeypatch):
    def failed(*_, **__):
        raise subprocess.CalledProcessError(101, "cargo", stderr="no such example")

    monkeypatch.setattr(limiters.subprocess, "run", failed)
    with pytest.raises(Missing, match="no such example"):
        next(limiters.in_engine(10))
