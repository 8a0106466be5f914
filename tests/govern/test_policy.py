import pytest

from megahertz.errors import BadSettings, BulkheadFull
from megahertz.govern import GCRA, Bulkhead, BulkheadStatistics, Policy

limit = GCRA(10)


def test_what_a_route_leaves_open_is_inherited():
    route = Policy(deadline=0.2).over(Policy(deadline=1.0, limit=limit, concurrency=5))

    assert (route.deadline, route.limit, route.concurrency) == (0.2, limit, 5)


def test_off_inherits_nothing_through_any_router():
    outer = Policy(deadline=1.0)

    assert Policy.off().over(outer).deadline is None
    assert Policy().over(Policy.off()).over(outer).deadline is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"deadline": 0}, "more than 0"),
        ({"concurrency": 0}, "at least 1"),
        ({"limit": 5}, "a limiter"),
        ({"breaker": object()}, "comes with governance"),
        ({"shed": object()}, "comes with governance"),
        ({"priority": "batch"}, "comes with governance"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments, told):
    with pytest.raises(BadSettings, match=told):
        Policy(**arguments)


def test_a_machine_limit_needs_one_worker():
    Policy(limit=limit).check(1)
    Policy(limit=GCRA(10, scope="worker")).check(4)

    with pytest.raises(BadSettings, match=r'scope="worker" with the rate of one worker \(2\.5\)'):
        Policy(limit=limit).check(4)


def test_a_bulkhead_refuses_above_its_number_and_frees_on_every_end():
    bulkhead = Bulkhead(1)

    with bulkhead, pytest.raises(BulkheadFull), bulkhead:
        pass
    with pytest.raises(ZeroDivisionError), bulkhead:
        raise ZeroDivisionError
    with bulkhead:
        assert bulkhead.statistics() == BulkheadStatistics(1, 1, 1)
    assert bulkhead.statistics().running == 0
