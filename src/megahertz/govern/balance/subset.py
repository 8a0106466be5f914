"""Some of many instances: so that a thousand callers need not know a thousand servers each.

Deterministic subsetting (Site Reliability Engineering, 2016, chapter 20): callers are dealt with in
rounds; in each the servers are shuffled once and cut into subsets, and every caller of the round
takes another one. Each server has the same number of callers, but for one.
"""

from collections.abc import Iterable
from hashlib import blake2b

from megahertz.errors import BadSettings
from megahertz.govern.balance.instance import Instance


def subset(instances: Iterable[Instance], caller: int, size: int) -> list[Instance]:
    """The instances of a caller.

    Args:
        instances: all there are, in any order.
        caller: its number, from 0 on without gaps (a StatefulSet's ordinal, a worker's).
        size: how many it wants; all of them where there are no more.

    Raises:
        BadSettings: a number below 0, or a size below 1.
    """
    if caller < 0 or size < 1:
        raise BadSettings(f"subset({caller=}, {size=}): a number from 0 on, and at least 1")
    every = list(instances)
    count = len(every) // size
    if count < 1:
        return every
    turn, place = divmod(caller, count)
    shuffled = sorted(every, key=lambda instance: _order(turn, instance.name))
    return shuffled[place * size : (place + 1) * size]


def _order(turn: int, name: str) -> bytes:
    """A shuffle that is the same on every machine and in every version."""
    return blake2b(f"{turn}#{name}".encode(), digest_size=16).digest()
