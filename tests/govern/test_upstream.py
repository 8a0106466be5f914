"""Calls to many instances: which one, how often, and what is learned of them."""

import asyncio
from collections import Counter
from functools import partial

import pytest

from megahertz.context import deadline
from megahertz.errors import (
    BadSettings,
    BreakerOpen,
    ConnectError,
    DeadlineExceeded,
    ReadError,
    StatusError,
)
from megahertz.govern import Breaker, Hedge, Retry, RetryBudget, Upstream, planes
from megahertz.govern.balance import Group, Health, Instance, RoundRobin, canary, subset
from tests.virtual import virtual


def members(hosts="ab", **options):
    instances = [Instance(host=host, port=80) for host in hosts]
    options.setdefault("health", Health(max_fails=0))
    return Group("svc", instances, balancer=RoundRobin(), **options)


class Service:
    """Instances that answer their name, or fail as they are told."""

    def __init__(self, **wrong):
        self.wrong = wrong
        self.met = []

    async def __call__(self, instance):
        self.met.append(instance.host)
        error = self.wrong.get(instance.host)
        if error is None:
            return instance.host
        if error == "silence":
            await asyncio.Event().wait()
        raise error


def at_once(**options):
    return Retry(first=0, longest=0, **options)


@virtual
async def test_without_anything_a_call_is_one_try():
    service = Service(a=ReadError("cut"))
    upstream = Upstream(members())
    with pytest.raises(ReadError):
        await upstream.run(service, idempotent=True)

    assert service.met == ["a"]


@virtual
async def test_a_retry_meets_another_instance():
    for _ in range(4):
        service = Service(a=ReadError("cut"))
        assert await Upstream(members("abc"), retry=at_once()).run(service, idempotent=True) == "b"
        assert service.met == ["a", "b"]


@virtual
async def test_with_one_instance_the_retry_meets_it_again():
    service = Service(a=ReadError("cut"))
    with pytest.raises(ReadError):
        await Upstream(members("a"), retry=at_once()).run(service, idempotent=True)

    assert service.met == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("error", "idempotent", "tries"),
    [
        (ConnectError("refused"), False, 2),
        (ReadError("cut"), False, 1),
        (ReadError("cut"), True, 2),
        (StatusError("503", status_code=503), True, 2),
        (StatusError("404", status_code=404), True, 1),
        (ValueError("a bug"), True, 1),
    ],
    ids=["undone", "unknown", "idempotent", "503", "404", "bug"],
)
@virtual
async def test_what_is_tried_again(error, idempotent, tries):
    service = Service(a=error)
    call = Upstream(members(), retry=at_once()).run(service, idempotent=idempotent)
    if tries == 1:
        with pytest.raises(type(error)):
            await call
    else:
        assert await call == "b"

    assert len(service.met) == tries


@virtual
async def test_what_was_read_already_is_not_tried_again():
    service = Service(a=ReadError("cut"))
    upstream = Upstream(members(), retry=at_once(), hedge=Hedge(0))
    with pytest.raises(ReadError):
        await upstream.run(service, idempotent=True, again=False)

    assert service.met == ["a"]


@virtual
async def test_retries_of_all_calls_share_a_budget():
    service = Service(a=ConnectError("x"), b=ConnectError("x"))
    upstream = Upstream(members(), retry=at_once(budget=RetryBudget(0, reserve=2)))
    for _ in range(10):
        with pytest.raises(ConnectError):
            await upstream.run(service)

    assert len(service.met) == 12
    assert upstream.statistics().retry.refused == 9


@virtual
async def test_no_try_begins_that_cannot_end_in_time():
    error = ConnectError("busy")
    error.retry_after = 5.0
    service = Service(a=error)
    with pytest.raises(ConnectError), deadline(4):
        await Upstream(members(), retry=at_once()).run(service)

    assert service.met == ["a"]


@virtual
async def test_a_hedge_meets_another_instance_and_the_first_is_let_go():
    service = Service(a="silence")
    upstream = Upstream(members(), hedge=Hedge(0.05))

    assert await upstream.run(service, idempotent=True) == "b"
    assert service.met == ["a", "b"]
    await asyncio.sleep(0)
    assert [peer.running for peer in upstream.statistics().peers] == [0, 0]
    assert upstream.statistics().hedge.won == 1


@virtual
async def test_what_must_not_be_done_twice_has_no_hedge():
    service = Service(a="silence")
    with pytest.raises(DeadlineExceeded), deadline(10):
        await Upstream(members(), hedge=Hedge(0.05)).run(service)

    assert service.met == ["a"]


@virtual
async def test_an_instance_that_is_too_slow_has_failed():
    service, group = Service(a="silence"), members(health=Health(max_fails=1))
    with pytest.raises(DeadlineExceeded), deadline(10):
        await Upstream(group).run(service)

    assert [peer.failures for peer in group.statistics()] == [1, 0]
    assert [peer.share for peer in group.statistics()] == [0, 1]


@virtual
async def test_a_caller_that_leaves_blames_nobody():
    service, group = Service(a="silence"), members(health=Health(max_fails=1))
    task = asyncio.create_task(Upstream(group).run(service))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait([task])

    assert [peer.failures for peer in group.statistics()] == [0, 0]
    assert [peer.running for peer in group.statistics()] == [0, 0]


# Breakers.


@virtual
async def test_each_instance_has_a_breaker_of_its_own():
    service = Service(a=ReadError("cut"))
    upstream = Upstream(members(), breaker=Breaker(3, 1))
    for _ in range(20):
        try:
            await upstream.run(service)
        except ReadError:
            pass

    met = Counter(service.met)
    assert met["a"] == 3
    assert met["b"] == 17  # who is refused at one instance is no failure: the other is asked
    assert upstream.statistics().breakers["a:80"].state == "open"
    assert upstream.statistics().breakers["b:80"].state == "closed"


@virtual
async def test_where_all_breakers_are_open_it_is_said_so():
    service = Service(a=ReadError("cut"), b=ReadError("cut"))
    upstream = Upstream(members(), breaker=Breaker(1.0, 1))
    for _ in range(2):
        with pytest.raises(ReadError):
            await upstream.run(service)
    with pytest.raises(BreakerOpen):
        await upstream.run(service)

    assert service.met == ["a", "b"]
    assert [peer.running for peer in upstream.statistics().peers] == [0, 0]


@virtual
async def test_a_breaker_inside_a_call_is_its_callers():
    """What the call itself was refused by something behind it is told, not asked elsewhere."""
    service = Service(a=BreakerOpen("inside"))
    with pytest.raises(BreakerOpen, match="inside"):
        await Upstream(members(), breaker=Breaker()).run(service)

    assert service.met == ["a"]


@virtual
async def test_an_instance_has_nothing_of_the_breaker_of_one_that_is_gone():
    service, group = Service(a=ReadError("cut")), members("a")
    upstream = Upstream(group, breaker=Breaker(1.0, 1, open=60.0))
    with pytest.raises(ReadError):
        await upstream.run(service)
    with pytest.raises(BreakerOpen):
        await upstream.run(service)

    group.update([Instance(host="b", port=80)])
    assert await upstream.run(service) == "b"

    (found,) = upstream.statistics().breakers.values()
    assert (found.state, found.calls, found.failures) == ("closed", 1, 0)
    assert (found.opened, found.refused) == (0, 0)


@virtual
async def test_a_call_that_ends_after_its_instance_says_nothing_of_the_next():
    group, gone = members("a"), asyncio.Event()
    upstream = Upstream(group, breaker=Breaker(1.0, 1, open=60.0))

    async def call(instance):
        if instance.host == "a":
            await gone.wait()
            raise ReadError("cut")

    late = asyncio.create_task(upstream.run(call))
    await asyncio.sleep(0)
    group.update([Instance(host="b", port=80)])
    await upstream.run(call)
    gone.set()
    with pytest.raises(ReadError):
        await late

    assert [it.state for it in upstream.statistics().breakers.values()] == ["closed"]


def test_breakers_that_come_and_go_fill_no_plane():
    """It has room for 8,192 names, and forgets none."""
    pattern = Breaker()
    for _ in range(3 * planes.ROOM):
        breaker = pattern.sibling()

    assert breaker.statistics().state == "closed"
    assert len({breaker.name, pattern.sibling().name, pattern.name}) == 3


def test_no_time_for_a_try_is_refused():
    with pytest.raises(BadSettings):
        Upstream(members(), per_try=0)
    with pytest.raises(BadSettings, match="fallback"):
        Upstream(members(), breaker=Breaker(fallback="instead"))


# Shapes.


def test_a_canary_gets_its_part():
    group = Group(
        "svc",
        [Instance(host="a", port=80), Instance(host="b", port=80, labels={"track": "canary"})],
        balancer=RoundRobin(),
        shape=canary,
    )
    met = Counter()
    for _ in range(300):
        with group.acquire() as peer:
            met[peer.instance.host] += 1

    assert met == {"a": 200, "b": 100}


def test_another_label_and_weight():
    instances = [
        Instance(host="a", port=80, weight=10),
        Instance(host="b", port=80, weight=10, labels={"version": "2"}),
    ]
    shaped = canary(instances, 5, label="version", value="2")

    assert [it.weight for it in shaped] == [10, 0.5]
    assert [it.weight for it in canary(instances, 0, label="version", value="2")] == [10, 0]
    with pytest.raises(BadSettings):
        canary(instances, 101)


def test_a_shape_holds_for_what_a_registry_tells_later():
    group = Group("svc", shape=partial(subset, caller=0, size=2))
    group.update([Instance(host=host, port=80) for host in "abcdef"])

    assert len(group.instances) == 2
