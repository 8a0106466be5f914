"""A policy as the engine keeps it: what of a route's rules is decided before its handler's code."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from megahertz.engine import Answer, Gate, Plane
from megahertz.errors import BadSettings, Refused
from megahertz.govern.limit import Limiter
from megahertz.govern.policy import Policy
from megahertz.govern.refusal import ORDER, refusals


def is_native(limit: Limiter | None) -> bool:
    """Whether the engine decides; else it takes a function, a wait or a clock of Python's."""
    return limit is not None and not (limit.waits or callable(limit.key) or limit.is_timed)


def set_gate(
    gate: Gate,
    policy: Policy,
    name: str,
    where: Callable[[], Plane],
    *,
    params: Sequence[str],
    socket: bool,
    answer: Callable[[Refused], Answer] | None,
    counts: bool = False,
) -> None:
    """Gives a route's gate the rules of its policy.

    Args:
        gate: the route's.
        policy: with everything that it inherits.
        name: the route's: `GET /items/{sku}`.
        where: gives the plane that it counts in.
        params: the names in its pattern.
        socket: its requests become WebSockets, which a bulkhead counts for as long as they live.
        answer: to an error, once for all; None: each refusal is raised and answered as any error.
        counts: its requests are counted even where it has no rules.

    Raises:
        BadSettings: the limit's key is a parameter that the pattern does not have.
    """
    if policy.is_empty and not counts:
        return gate.clear()
    plane, error = where(), refusals(policy)
    limit, breaker = policy.rule("limit"), policy.rule("breaker")
    shed, concurrency = policy.rule("shed"), policy.rule("concurrency")
    native: dict[str, Any] = {}
    if is_native(limit):
        limit.join(plane)
        key = _key(limit, params, name)
        native = {"limit": limit.cell, "key": key, "said": said(limit)}
    if breaker is not None:
        # Each route its own: what one of them cannot do says nothing of the others.
        native |= {"breaker": breaker.cell(plane, name), "fallback": breaker.fallback is not None}
    gate.set(
        plane,
        name,
        deadline=policy.deadline,
        budget=policy.told,
        shed=None if shed is None else shed.state,
        concurrency=None if socket else concurrency,
        priority=policy.priority or "live",
        observe=policy.observed,
        error=error,
        answers=[] if answer is None else [answer(error(rule, None)) for rule in range(len(ORDER))],
        **native,
    )
    return None


def said(limit: Limiter) -> str:
    """The fields that tell of a limit (draft-ietf-httpapi-ratelimit-headers-10), but for what is
    left and when."""
    quota, window = (limit.rate, limit.per) if limit.rate >= 1 else (1, limit.per / limit.rate)
    policy = f'"default";q={int(quota)};w={math.ceil(window)}'
    return f'ratelimit-policy: {policy}\r\nratelimit: "default";'


def _key(limit: Limiter, params: Sequence[str], name: str) -> str | None:
    key = limit.key
    assert not callable(key)
    if key is None or not key.startswith("path:"):
        return key
    parameter = key.removeprefix("path:")
    if parameter not in params:
        raise BadSettings(f"{name}: {limit!r}: the pattern has no {{{parameter}}}")
    return f"path:{list(params).index(parameter)}"
