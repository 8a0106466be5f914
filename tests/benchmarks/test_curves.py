import gzip
from xml.etree import ElementTree

from click.testing import CliRunner

from benchmarks import curves
from benchmarks.hits import BOUND


def test_a_run_is_a_table_and_a_picture(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(curves, "GENERATED", {"small": lambda: [1, 2, 3, 1, 2, 4] * 50})
    monkeypatch.setattr(curves, "save", kept.append)
    keys = "".join(f"{key}\n" for key in range(30)) * 3
    (tmp_path / "round.trace.gz").write_bytes(gzip.compress(f"{keys}*\n".encode()))
    (tmp_path / "plain.trace").write_text("1\n2\n1\n")

    ran = CliRunner().invoke(curves.main, ["--traces", str(tmp_path), "--save"])

    assert ran.exit_code == 0, ran.output
    traces = kept[0]["traces"]
    assert list(traces) == ["small", "plain (LIRS)", "round (LIRS)"]
    assert traces["round (LIRS)"]["requests"] == 90 and traces["round (LIRS)"]["keys"] == 30
    for row in traces.values():
        bound = row["hits"][BOUND]
        for shares in row["hits"].values():
            assert len(shares) == len(row["sizes"])
            assert all(0 <= one <= two for one, two in zip(shares, bound, strict=True))
    drawn = ElementTree.fromstring(curves.picture(kept[0]))
    assert len(drawn.findall("{*}g")) == 3
    assert "| round (LIRS) |" in ran.output
