import json

from click.testing import CliRunner

from benchmarks import tiers


def test_a_run_is_two_tables(monkeypatch):
    monkeypatch.setattr(tiers, "PAUSE", 0.0)
    monkeypatch.setattr(tiers, "DELETES", 20)
    ran = CliRunner().invoke(tiers.main, ["--rounds=1", "--calls=100", "--requests=1000"])

    assert ran.exit_code == 0, ran.output
    lines = [line for line in ran.output.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 5 + len(tiers.LEVELS)
    assert "After 20 calls of `delete`" in ran.output
    assert "`python -m benchmarks.tiers`" in ran.output


def test_shares_add_up(monkeypatch):
    monkeypatch.setattr(tiers, "PAUSE", 0.0)
    monkeypatch.setattr(tiers, "DELETES", 20)
    found = json.loads(json.dumps(tiers.measure(1, 10, 2000)))

    for row in found["rows"].values():
        # What joined a load that was under way is neither.
        assert 0.7 < row["local"] + row["redis"] + row["loaded"] <= 1.0
        assert row["p50"] <= row["p99"]
    assert tiers.table(found)
