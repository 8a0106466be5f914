import pytest

from benchmarks import calls, timewait
from benchmarks.calls import OURS, PEERS, PROMISES, is_kept, ratios, table
from benchmarks.result import about, spreads


def found(ours: float) -> dict:
    figures = dict.fromkeys(PEERS, 10.0) | dict.fromkeys(OURS, ours)
    return {
        **about("client"),
        "method": {"rounds": 1, "seconds": 1.0, "callers": 64},
        "versions": {"httpx": "httpx 1"},
        "clients": {
            name: spreads({"cpu_us": [cpu], "calls": [1000.0]}) for name, cpu in figures.items()
        },
    }


def test_ours_is_compared_with_each_peer():
    assert ratios(found(1.0)) == dict.fromkeys(PEERS, 0.1)
    assert is_kept(found(1.0)) and not is_kept(found(2.5))
    lines = table(found(1.0))
    assert len([line for line in lines if line.startswith("| ")]) == 1 + len(OURS) + len(PEERS)
    assert set(PROMISES) == set(PEERS)


class Told:
    """A client that calls nobody."""

    def turn(self, seconds):
        return 3.0, 5 / seconds


def test_each_client_has_its_turn(monkeypatch):
    class Running:
        def __enter__(self):
            return {name: Told() for name in (*OURS, *PEERS)}

        def __exit__(self, *exc):
            return None

    monkeypatch.setattr(calls, "running", Running)
    measured = calls.measure(2, 0.5)
    assert measured["clients"]["httpx"]["cpu_us"]["rounds"] == [3.0, 3.0]


@pytest.mark.parametrize(("state", "count"), [("06", 1), ("01", 0)])
def test_connections_of_a_port_that_lie_in_time_wait(tmp_path, state, count):
    (tmp_path / "net").mkdir()
    line = f"0: 0100007F:1F90 0100007F:A000 {state} 0:0 0:0 0 0 0 0"
    (tmp_path / "net/tcp").write_text(f"head\n{line}\n")
    assert timewait.lying(8080, tmp_path) == timewait.lying(0xA000, tmp_path) == count
    assert timewait.lying(1, tmp_path) == 0
