"""New versions of a service, which get a part of what the others get."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from megahertz.errors import BadSettings
from megahertz.govern.balance.instance import Instance

WEIGHT: Final = 50.0
"""Of 100: a canary gets half of what another instance gets (the reports' canary_weight)."""


def canary(
    instances: Iterable[Instance],
    weight: float = WEIGHT,
    *,
    label: str = "track",
    value: str = "canary",
) -> list[Instance]:
    """The instances, those that are labelled as canaries with a part of their weight.

        Group("orders", instances, shape=partial(canary, weight=5))

    Args:
        instances: all there are.
        weight: of a canary, where another one's is 100; 0: it is not called.
        label: by which they are known.
        value: of that label.

    Raises:
        BadSettings: a weight outside of 0 to 100.
    """
    if not 0 <= weight <= 100:
        raise BadSettings(f"canary({weight=}): 0 to 100")
    return [
        replace(instance, weight=instance.weight * weight / 100)
        if instance.labels.get(label) == value
        else instance
        for instance in instances
    ]
