"""An application's gates: one a route, whose rules may change while it serves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from megahertz.engine import Answer, Gate, Plane, plane
from megahertz.errors import BadSettings, Refused
from megahertz.govern import Policy, is_native, set_gate


@dataclass(frozen=True, slots=True)
class _Served:
    policy: Policy
    params: tuple[str, ...]
    socket: bool


class Gates:
    """Of one application: the engine and other servers that ask it share them.

    Args:
        answer: to an error of a rule, the same for every request; None where that depends.
        counts: requests of every route, with rules or without.

    Attributes:
        counts: as above; may be changed until the routes are compiled.
    """

    def __init__(self, answer: Callable[[Refused], Answer] | None, *, counts: bool = False) -> None:
        self.answer = answer
        self.counts = counts
        self._gates: dict[str, Gate] = {}
        self._served: dict[str, _Served] = {}
        self._own: Plane | None = None

    def of(
        self, label: str, policy: Policy, *, params: tuple[str, ...] = (), socket: bool = False
    ) -> Gate:
        """A route's, with the rules of its policy.

        Args:
            label: its name among the application's: `GET /items/{sku}`.
            policy: with everything that it inherits.
            params: the names in its pattern.
            socket: it answers WebSockets.

        Raises:
            BadSettings: its limit's key is a parameter that its pattern does not have.
        """
        gate = self._gates.setdefault(label, Gate())
        self._served[label] = _Served(policy, params, socket)
        self._set(gate, label, self._served[label])
        return gate

    def change(self, policies: Mapping[str, Policy]) -> None:
        """Other rules for routes by their labels: all of them at once, or none.

        Raises:
            BadSettings: a route that there is not, or a part of a policy that is built in.
        """
        fresh: dict[str, Gate] = {}
        for label, policy in policies.items():
            served = self._served.get(label)
            if served is None:
                raise BadSettings(f"{label!r} is no route that is served: see `mhz routes`")
            socket = served.socket
            if _built_in(policy, socket) != _built_in(served.policy, socket):
                raise BadSettings(
                    f"{label}: limits by a function, LeakyBucket, Redis's, bulkheads of WebSockets "
                    f"and fallbacks are built in; restart the workers (`mhz reload`) for those"
                )
            fresh[label] = Gate()
            self._set(fresh[label], label, replace(served, policy=policy))
        for label, gate in fresh.items():
            self._gates[label].adopt(gate)

    def _set(self, gate: Gate, label: str, served: _Served) -> None:
        set_gate(
            gate,
            served.policy,
            label,
            self.plane,
            params=served.params,
            socket=served.socket,
            answer=self.answer,
            counts=self.counts,
        )

    def labels(self) -> Iterable[str]:
        """Of every route that is served."""
        return self._served.keys()

    def plane(self) -> Plane:
        """The workers' together; without others, the application's own."""
        shared = plane()
        if shared is None:
            shared = self._own = self._own or Plane()
        return shared


def _built_in(policy: Policy, socket: bool) -> tuple[Any, ...]:
    limit, breaker = policy.rule("limit"), policy.rule("breaker")
    return (
        None if is_native(limit) else limit,
        policy.rule("concurrency") if socket else None,
        None if breaker is None else breaker.fallback,
    )
