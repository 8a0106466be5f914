import pytest

from benchmarks.method import Measured
from benchmarks.peer import Peer
from benchmarks.result import broken, result


def run(**cpu):
    peers = [Peer(name, list) for name in cpu]
    measured = {
        name: Measured(cpu_us=[us, us + 1, us + 9], rps=[1.0] * 3) for name, us in cpu.items()
    }
    return result(peers, measured, rounds=3)


def test_medians_are_compared():
    found = run(floor=9.0, fasthttp=19.0, megahertz=11.0)
    assert found["peers"]["floor"]["cpu_us"]["median"] == 10
    assert found["ratios"] == {"megahertz/floor": 1.2, "megahertz/fasthttp": 0.6}
    assert broken(found) == []


def test_a_ratio_above_its_bound_is_a_broken_promise():
    assert len(broken(run(floor=9.0, fasthttp=9.0, megahertz=19.0))) == 2


def test_a_peer_that_did_not_run_is_a_broken_promise():
    (said,) = broken(run(floor=9.0, megahertz=9.0))
    assert "fasthttp" in said


@pytest.mark.parametrize("key", ["when", "commit", "machine", "versions", "method"])
def test_a_result_says_how_to_repeat_it(key):
    assert run(floor=9.0)[key]
