"""Who can be called, and what a caller has seen of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from megahertz.errors import BadSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One server of a service, as a registry tells of it.

    Attributes:
        host: name or address.
        port: of TCP.
        weight: its share of the calls, beside the others'; 0: none. Registries count to 100.
        zone: where it stands; `NearestZone` compares it.
        backup: is called only while none of the others can be.
        labels: whatever else is known of it.

    Raises:
        BadSettings: a port or a weight that cannot be.
    """

    host: str
    port: int
    weight: float = 1.0
    zone: str = ""
    backup: bool = False
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise BadSettings(f"Instance({self.host!r}, {self.port}): a port from 1 to 65535")
        if not 0 <= self.weight < math.inf:
            raise BadSettings(f"Instance({self.name}, weight={self.weight}): at least 0")

    @property
    def name(self) -> str:
        """`host:port`, by which it is known when a registry tells of it again."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Peer:
    """An instance with what this process has seen of it; a `Group` keeps it, balancers read it.

    Attributes:
        instance: as it was told last.
        share: its weight now: less than the instance's while it starts slowly, 0 while it is out.
        running: calls that have begun and not ended.
        begun: the sum of their beginnings, in seconds of the group's clock: with `running` it says
            how long they have been on their way.
        picked: when it was chosen last.
    """

    __slots__ = ("begun", "instance", "picked", "running", "share")

    def __init__(self, instance: Instance, now: float) -> None:
        self.instance = instance
        self.share = instance.weight
        self.running = 0
        self.begun = 0.0
        self.picked = now

    def age(self, now: float) -> float:
        """Seconds that its running calls have taken so far, on the average."""
        return now - self.begun / self.running if self.running else 0.0

    def __repr__(self) -> str:
        return f"<Peer {self.instance.name} share={self.share:g} running={self.running}>"
