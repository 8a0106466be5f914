"""Balancers by what they promise: shares, affinity, bounds, and who is left out."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz.clock import Manual
from megahertz.errors import BadSettings, ConnectError
from megahertz.govern.balance import (
    P2C,
    ConsistentHash,
    Group,
    Health,
    Instance,
    LeastConnections,
    NearestZone,
    RoundRobin,
    subset,
)


def instance(host="a", **options):
    return Instance(host=host, port=80, **options)


def instances(*weights):
    return [instance(chr(97 + index), weight=weight) for index, weight in enumerate(weights)]


def group(members, balancer=None, clock=None, **health):
    return Group(
        "svc", members, balancer=balancer, health=Health(**health), clock=clock or Manual()
    )


def call(group, key=None, *, error=None, avoid=()):
    """One call; gives the host."""
    try:
        with group.acquire(key, avoid=avoid) as peer:
            if error is not None:
                raise error
    except ConnectError:
        pass
    return peer.instance.host


def chi_square(counts, shares):
    total = sum(counts.values())
    whole = sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    return sum((counts[name] - value) ** 2 / value for name, value in expected.items())


SEVEN = 24.3
"""Chi-square of 7 degrees of freedom that chance exceeds in one of 1,000 cases."""


# Round robin.


def test_turns_are_smooth():
    members = group(instances(5, 1, 1), RoundRobin())
    assert "".join(call(members) for _ in range(7)) == "aabacaa"


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_over_a_period_each_has_exactly_its_weight(weights):
    members = group(instances(*weights), RoundRobin())
    counts = Counter(call(members) for _ in range(sum(weights)))
    assert counts == {chr(97 + index): weight for index, weight in enumerate(weights)}


# Least connections.


def test_the_least_loaded_for_its_weight_is_called():
    members = group(instances(2, 1), LeastConnections())
    members.acquire()  # one that is never entered counts nowhere
    held = []
    for _ in range(6):
        held.append(members.acquire())
        held[-1].__enter__()
    assert Counter(each.peer.instance.host for each in held) == {"a": 4, "b": 2}
    for each in held:
        each.__exit__(None, None, None)
    assert [peer.running for peer in members.statistics()] == [0, 0]


def test_equals_are_called_in_turn():
    members = group(instances(*[1] * 8), LeastConnections())
    assert Counter(call(members) for _ in range(800)) == dict.fromkeys("abcdefgh", 100)


def simulate(balancer, latency, *, calls=4000, every=0.001):
    """Calls begin `every` seconds, each takes its host's latency; gives the latencies."""
    clock = Manual()
    members = group(instances(*[1] * len(latency)), balancer, clock, max_fails=0)
    running, seen = [], []
    for _ in range(calls):
        now = clock.now()
        for ended in [it for it in running if it[0] <= now]:
            running.remove(ended)
            ended[1].__exit__(None, None, None)
        begun = members.acquire()
        took = latency[begun.__enter__().instance.host]
        running.append((now + took, begun))
        seen.append(took)
        clock.advance(every)
    return sorted(seen)


def p99(seen):
    return seen[int(len(seen) * 0.99)]


@pytest.mark.parametrize("made", [LeastConnections, lambda: P2C(random=random.Random(1).random)])
def test_a_slow_one_gets_less_than_its_turn(made):
    latency = {"a": 0.010, "b": 0.010, "c": 0.100}
    in_turn = simulate(RoundRobin(), latency)
    spread = simulate(made(), latency)
    assert sum(it == 0.1 for it in in_turn) / len(in_turn) == pytest.approx(1 / 3, abs=0.01)
    assert sum(it == 0.1 for it in spread) / len(spread) < 0.08


# Two choices.


def test_of_idle_peers_each_gets_its_share():
    drawn = random.Random(7)
    members = group(instances(*range(1, 9)), P2C(random=drawn.random))
    counts = Counter(call(members) for _ in range(8000))
    # The clock stands still, so all latencies are 0 and the first that is drawn is as good.
    assert chi_square(counts, {chr(96 + weight): weight for weight in range(1, 9)}) < SEVEN


def test_of_equals_two_choices_favour_nobody():
    drawn, clock = random.Random(3), Manual()
    members = group(instances(*[1] * 8), P2C(random=drawn.random), clock)
    counts = Counter()
    for _ in range(8000):
        with members.acquire() as peer:
            clock.advance(2**-10)  # exact in a double: no peer is faster by a rounding
        counts[peer.instance.host] += 1
    assert chi_square(counts, dict.fromkeys("abcdefgh", 1)) < SEVEN


def test_one_that_fails_at_once_does_not_look_fast():
    drawn, clock = random.Random(5), Manual()
    members = group(instances(1, 1), P2C(random=drawn.random, forgotten=1e9), clock, max_fails=0)
    counts = Counter()
    for _ in range(2000):
        error = None
        try:
            with members.acquire() as peer:
                counts[peer.instance.host] += 1
                clock.advance(0.010 if peer.instance.host == "a" else 0.0001)
                if peer.instance.host == "b":
                    error = ConnectError("down")
                    raise error
        except ConnectError:
            pass
    assert counts["b"] < 400


def test_calls_that_hang_count_before_they_end():
    clock = Manual()
    members = group(instances(1, 1), P2C(random=random.Random(2).random, forgotten=1e9), clock)
    for _ in range(20):
        with members.acquire():
            clock.advance(0.01)
    hangs = members.acquire(avoid={"b:80"})
    hangs.__enter__()
    clock.advance(5)
    assert {call(members) for _ in range(50)} == {"b"}
    hangs.__exit__(None, None, None)


def test_who_was_forgotten_is_tried():
    clock = Manual()
    members = group(instances(1, 1), P2C(random=random.Random(2).random), clock)
    for host, took in (("a", 0.001), ("b", 9.0)) * 3:
        with members.acquire(avoid={"b:80" if host == "a" else "a:80"}):
            clock.advance(took)
    clock.advance(2)
    assert "b" in {call(members) for _ in range(2)}


# Hashing.

KEYS = [b"%d" % number for number in range(2000)]


def test_a_key_goes_where_it_went():
    members = group(instances(*[1] * 8), ConsistentHash())
    first = {key: call(members, key) for key in KEYS}
    assert {key: call(members, key) for key in reversed(KEYS)} == first
    assert len(set(first.values())) == 8


def test_only_the_keys_of_who_left_move():
    members = group(instances(*[1] * 8), ConsistentHash())
    before = {key: call(members, key) for key in KEYS}
    members.update(instances(*[1] * 7))
    after = {key: call(members, key) for key in KEYS}
    assert {key for key in KEYS if before[key] != after[key]} == {
        key for key in KEYS if before[key] == "h"
    }


def test_keys_are_spread_by_weight():
    weights = [1, 1, 2, 4]
    members = group(instances(*weights), ConsistentHash())
    counts = Counter(call(members, key) for key in KEYS)
    for index, weight in enumerate(weights):
        assert counts[chr(97 + index)] / len(KEYS) == pytest.approx(weight / 8, rel=0.35)


@settings(max_examples=30)
@given(st.integers(2, 8), st.floats(1.05, 3), st.integers(1, 60))
def test_no_peer_is_above_its_bound(count, bound, held):
    members = group(instances(*[1] * count), ConsistentHash(bound))
    open_calls = []
    for number in range(held):
        one = members.acquire(b"the same key")
        one.__enter__()
        open_calls.append(one)
        most = max(peer.running for peer in members.statistics())
        assert most <= math.ceil(bound * (number + 1) / count)
    for one in open_calls:
        one.__exit__(None, None, None)


def test_without_a_key_the_least_loaded_is_called():
    members = group(instances(1, 1), ConsistentHash())
    with members.acquire() as one, members.acquire() as other:
        assert one is not other


# Zones.


def zoned(**weights):
    hosts = {"near": "a", "far": "b"}
    return [
        instance(hosts[zone] + str(number), zone=zone)
        for zone, count in weights.items()
        for number in range(count)
    ]


def in_zone(members, calls=2000):
    return sum(call(members)[0] == "a" for _ in range(calls)) / calls


@pytest.mark.parametrize(
    ("out", "share"), [(0, 1.0), (2, 1.0), (5, 0.7), (8, 0.28), (10, 0.0)], ids=str
)
def test_a_zone_takes_what_it_can_bear(out, share):
    balancer = NearestZone(RoundRobin(), ["near"], random=random.Random(11).random)
    members = group(zoned(near=10, far=10), balancer, max_fails=1, most_out=1)
    assert in_zone(members) == 1.0
    for number in range(out):
        others = {f"{it.name}" for it in members.statistics()} - {f"a{number}:80"}
        call(members, avoid=others, error=ConnectError("down"))
    assert in_zone(members) == pytest.approx(share, abs=0.04)


def test_a_zone_that_nobody_named_is_the_last():
    members = group(zoned(far=3), NearestZone(RoundRobin(), ["near"]))
    assert in_zone(members, 10) == 0
    members.update(zoned(far=3, near=1))
    assert in_zone(members, 10) == 1


# Who is out, and who comes back.


def test_a_dead_one_gets_no_call_after_max_fails_and_starts_slowly_when_it_is_back():
    clock = Manual()
    members = group(
        instances(1, 1), RoundRobin(), clock, max_fails=2, fail_timeout=30, slow_start=100
    )
    for _ in range(2):
        assert "b" in {call(members) for _ in range(2)}
        call(members, avoid={"a:80"})
        call(members, avoid={"a:80"}, error=ConnectError("down"))
    assert members.statistics()[1].out == 0  # between its failures it has answered
    for _ in range(2):
        call(members, avoid={"a:80"}, error=ConnectError("down"))
    clock.advance(29)
    assert Counter(call(members) for _ in range(100)) == {"a": 100}
    (_, dead) = members.statistics()
    assert (dead.share, dead.out) == (0, pytest.approx(1))
    clock.advance(1)
    assert 7 <= Counter(call(members) for _ in range(100))["b"] <= 11  # a tenth of its weight
    clock.advance(50)
    assert Counter(call(members) for _ in range(99))["b"] == pytest.approx(33, abs=2)
    clock.advance(50)
    assert Counter(call(members) for _ in range(100))["b"] == pytest.approx(50, abs=1)


def test_who_fails_at_once_when_it_is_back_is_out_for_longer():
    clock = Manual()
    members = group(instances(1, 1), RoundRobin(), clock, max_fails=1, fail_timeout=30)
    for seconds in (30, 60, 120, 240, 300, 300):
        call(members, avoid={"a:80"}, error=ConnectError("down"))
        assert members.statistics()[1].out == pytest.approx(seconds)
        clock.advance(seconds)
    call(members, avoid={"a:80"})
    call(members, avoid={"a:80"}, error=ConnectError("down"))
    assert members.statistics()[1].out == pytest.approx(30)


def test_failures_that_lie_apart_do_not_add_up():
    clock = Manual()
    members = group(instances(1, 1), RoundRobin(), clock, max_fails=2, fail_timeout=30)
    for _ in range(5):
        call(members, avoid={"a:80"}, error=ConnectError("down"))
        clock.advance(31)
    assert members.statistics()[1].out == 0


def test_so_many_may_be_out_and_no_more():
    members = group(instances(1, 1, 1, 1), RoundRobin(), max_fails=1, most_out=0.5)
    for _ in range(20):
        call(members, error=ConnectError("down"))
    assert sum(peer.out > 0 for peer in members.statistics()) == 2


def test_where_everybody_is_out_everybody_is_tried():
    members = group(instances(1, 1), RoundRobin(), max_fails=1, most_out=1)
    for _ in range(2):
        call(members, error=ConnectError("down"))
    assert all(peer.out > 0 for peer in members.statistics())
    assert {call(members, error=ConnectError("down")) for _ in range(4)} == {"a", "b"}
    answered = call(members)
    assert {call(members) for _ in range(4)} == {answered}  # who has answered is in again


def test_backups_are_called_while_nobody_else_can_be():
    clock = Manual()
    members = [instance("a"), instance("b", backup=True)]
    members = group(members, RoundRobin(), clock, max_fails=1, most_out=1)
    assert {call(members) for _ in range(4)} == {"a"}
    call(members, error=ConnectError("down"))
    assert {call(members) for _ in range(4)} == {"b"}
    clock.advance(30)
    assert {call(members) for _ in range(4)} == {"a"}


def test_an_error_of_ours_is_no_failure_of_the_peer():
    members = group(instances(1), max_fails=1, most_out=1)
    for error in (ValueError("ours"), KeyboardInterrupt()):
        with pytest.raises(type(error)), members.acquire():
            raise error
    (peer,) = members.statistics()
    assert (peer.failures, peer.running, peer.out) == (0, 0, 0)


def test_an_answer_may_be_a_failure():
    members = group(instances(1, 1), RoundRobin(), max_fails=1)
    one = members.acquire()
    with one:
        one.fail()
    assert sum(peer.out > 0 for peer in members.statistics()) == 1


def test_nobody_to_call():
    for members in (group([]), group(instances(0))):
        with pytest.raises(ConnectError, match="svc: no instance"):
            members.acquire()


def test_a_retry_avoids_whom_it_has_met_where_there_are_others():
    members = group(instances(1, 1), RoundRobin())
    assert {call(members, avoid={"a:80"}) for _ in range(4)} == {"b"}
    assert {call(members, avoid={"a:80", "b:80"}) for _ in range(4)} == {"a", "b"}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("+-!.")), max_size=60))
def test_whatever_happens_what_runs_is_what_was_entered(steps):
    """A model of who is there and who is called: nothing is lost when instances come and go."""
    for balancer in (RoundRobin(), LeastConnections(), P2C(), ConsistentHash()):
        members, there, held = group([], balancer), {}, []
        for host, act in steps:
            if act == "+":
                there[host] = instance(host)
            elif act == "-":
                there.pop(host, None)
            elif there:
                one = members.acquire(host.encode())
                one.__enter__()
                held.append(one)
            if act == "!" and held:
                held.pop(0).__exit__(ConnectError, ConnectError("down"), None)
            members.update(there.values())
            known = {it.name: it.running for it in members.statistics()}
            assert known.keys() == {it.name for it in there.values()}
        peers = {one.peer for one in held}
        for one in held:
            one.__exit__(None, None, None)
        assert all(peer.running == 0 and peer.begun == 0 for peer in peers)


# Subsets.


@given(st.integers(1, 40), st.integers(1, 10), st.integers(1, 6))
def test_every_server_has_as_many_callers(servers, size, rounds):
    every = [instance(f"s{number}") for number in range(servers)]
    callers = rounds * max(1, servers // size)
    chosen = [subset(every, caller, size) for caller in range(callers)]
    counts = Counter(it.name for each in chosen for it in each)
    if servers <= size:
        assert all(set(each) == set(every) for each in chosen)
    else:
        assert all(len({it.name for it in each}) == size for each in chosen)
        assert max(counts.values()) <= rounds
    assert set(subset(reversed(every), 0, size)) == set(subset(every, 0, size))


@pytest.mark.parametrize(
    "bad",
    [
        lambda: instance(weight=-1),
        lambda: Instance(host="a", port=0),
        lambda: Health(most_out=2),
        lambda: Health(fail_timeout=0),
        lambda: P2C(0),
        lambda: ConsistentHash(1.0),
        lambda: NearestZone(RoundRobin(), []),
        lambda: subset([], -1, 1),
    ],
)
def test_what_cannot_be_is_refused(bad):
    with pytest.raises(BadSettings):
        bad()


def test_an_address_of_six_is_bracketed():
    assert Instance(host="2001:db8::1", port=80).name == "[2001:db8::1]:80"
