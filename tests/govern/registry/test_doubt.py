"""Who is believed gone."""

from hypothesis import given
from hypothesis import strategies as st

from megahertz.govern.balance import Instance
from megahertz.govern.registry.doubt import Doubt


def some(*ports):
    return [Instance(host="a", port=port) for port in ports]


def ports(instances):
    return sorted(it.port for it in instances)


def test_one_of_several_goes_at_once():
    doubt = Doubt(30.0)
    doubt.hear(some(1, 2), 0.0)
    doubt.hear(some(1), 1.0)

    assert doubt.believed(1.0) == (some(1), None)


def test_all_at_once_are_kept_until_their_time_is_over():
    doubt = Doubt(30.0)
    doubt.hear(some(1, 2), 0.0)
    doubt.hear([], 5.0)

    found, again = doubt.believed(5.0)
    assert (ports(found), again) == ([1, 2], 35.0)
    assert ports(doubt.believed(34.9)[0]) == [1, 2]
    assert doubt.believed(35.0) == ([], None)


def test_one_after_the_other_is_all_at_once_too():
    doubt = Doubt(30.0)
    doubt.hear(some(1, 2, 3, 4), 0.0)
    for number, left in enumerate([(1, 2, 3), (1, 2), (1,), ()]):
        doubt.hear(some(*left), float(number))

    found, again = doubt.believed(4.0)
    assert (ports(found), again) == ([1, 2, 3, 4], 30.0)
    # The first of them is really gone by then, the others are not yet.
    assert ports(doubt.believed(30.0)[0]) == [1, 2, 3]


def test_who_is_told_again_was_never_gone():
    doubt = Doubt(30.0)
    doubt.hear(some(1, 2, 3), 0.0)
    doubt.hear([], 1.0)
    doubt.hear(some(1, 2), 2.0)

    assert doubt.believed(2.0) == (some(1, 2), None)


def test_without_grace_what_goes_is_gone():
    doubt = Doubt(0.0)
    doubt.hear(some(1), 0.0)
    doubt.hear([], 0.0)

    assert doubt.believed(0.0) == ([], None)


@given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.floats(0, 20)), min_size=1, max_size=12))
def test_who_is_told_is_believed_and_in_the_end_nobody_else(steps):
    doubt, now, ever = Doubt(30.0), 0.0, set()
    for told, seconds in steps:
        now += seconds
        ever |= told
        doubt.hear(some(*told), now)
        found, again = doubt.believed(now)
        assert told <= set(ports(found)) <= ever
        assert len(ports(found)) == len(set(ports(found)))
        assert (again is None) == (set(ports(found)) == told)
        assert again is None or now < again <= now + 30.0

    assert set(ports(doubt.believed(now + 30.0)[0])) == steps[-1][0]
