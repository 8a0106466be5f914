import os

import pytest
from click.testing import CliRunner

from benchmarks import failover
from benchmarks.failover import FAULTS, Load, table

RUN = {"rate": 1000.0, "cluster": 2.0, "full": 0.5, "failures": {"ReadError": 3}, "answers": 9}


def test_a_result_is_a_table(monkeypatch):
    monkeypatch.setattr(failover, "said", lambda found: "somewhere")
    worse = RUN | {"full": 0.75, "failures": {}}

    lines = table({"rounds": 2, "faults": {"a fault": [RUN, worse], "none": [worse]}})

    assert "| a fault | 1,000 | 2.00 s | 0.62 s, at worst 0.75 s | 3 ReadError of 18 |" in lines
    assert "| none | 1,000 | 2.00 s | 0.75 s, at worst 0.75 s | nothing of 9 |" in lines


class Wrong:
    async def set(self, key, value):
        return True

    async def get(self, key):
        return b"caller:7=1"


async def test_a_wrong_answer_ends_the_run():
    await_seven = Load(Wrong())
    await_seven.stop()
    await await_seven.call(7)
    with pytest.raises(ValueError, match="caller:8 was answered with b'caller:7=1'"):
        await Load(Wrong()).call(8)


def test_a_rate_is_the_median_of_whole_slices():
    load = Load(Wrong())
    load.answers.update({39: 1000, 40: 10, 41: 20, 42: 30, 43: 1})
    assert load.rate(9.9, 10.8) == 20 / failover.SLICE
    assert load.rate(0, 0) == 0


@pytest.mark.skipif(os.environ.get("MEGAHERTZ_SUITES") != "all", reason="real fail-overs")
def test_a_run_on_a_real_cluster(monkeypatch):
    monkeypatch.setattr(failover, "BEFORE", 1.0)
    kind = next(iter(FAULTS))
    monkeypatch.setattr(failover, "FAULTS", {kind: FAULTS[kind]})
    ran = CliRunner().invoke(failover.main, ["--rounds", "1"])
    assert ran.exit_code == 0, ran.output
    assert f"| {kind} |" in ran.output
