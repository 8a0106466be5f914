import pytest

from megahertz.errors import BadSettings, BulkheadFull
from megahertz.govern import GCRA, Bulkhead, BulkheadStatistics, Policy, Shed

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
        ({"limit": 5}, "a Limiter"),
        ({"breaker": object()}, "a Breaker"),
        ({"shed": object()}, "a Shed"),
        ({"priority": "high"}, "batch"),
        ({"mode": "half"}, "observe"),
        ({"mode": {"deadline": "off"}}, "observe"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments, told):
    with pytest.raises(BadSettings, match=told):
        Policy(**arguments)


def test_modes_are_inherited_rule_by_rule():
    outer = Policy(
        limit=limit, concurrency=5, shed=Shed(), mode={"limit": "off", "shed": "observe"}
    )
    inner = Policy(mode={"limit": "on"}).over(outer)
    assert (inner.rule("limit"), inner.rule("concurrency")) == (limit, 5)
    assert inner.observed == ["shed"]
    assert outer.rule("limit") is None
    assert Policy(mode="off").over(outer).is_empty


def test_the_budget_may_have_another_field_or_none():
    assert Policy().told == "x-envoy-expected-rq-timeout-ms"
    assert Policy(budget="x-timeout").told == "x-timeout"
    assert Policy(budget="").told is None


def test_a_budget_that_is_named_is_a_rule_of_its_own():
    assert Policy().is_empty
    assert Policy(budget="").is_empty
    assert not Policy(budget="x-timeout").is_empty


def test_a_bulkhead_refuses_above_its_number_and_frees_on_every_end():
    bulkhead = Bulkhead(1)

    with bulkhead, pytest.raises(BulkheadFull), bulkhead:
        pass
    with pytest.raises(ZeroDivisionError), bulkhead:
        raise ZeroDivisionError
    with bulkhead:
        assert bulkhead.statistics() == BulkheadStatistics(1, 1, 1)
    assert bulkhead.statistics().running == 0
