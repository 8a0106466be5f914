"""Balancing: who of many gets the next call."""

from megahertz.govern.balance.balancer import Balancer
from megahertz.govern.balance.canary import canary
from megahertz.govern.balance.group import Call, Group, PeerStatistics
from megahertz.govern.balance.health import Health
from megahertz.govern.balance.instance import Instance, Peer
from megahertz.govern.balance.least import LeastConnections
from megahertz.govern.balance.p2c import P2C
from megahertz.govern.balance.probe import Probe, Prober
from megahertz.govern.balance.ring import ConsistentHash
from megahertz.govern.balance.robin import RoundRobin
from megahertz.govern.balance.subset import subset
from megahertz.govern.balance.zones import NearestZone

__all__ = [
    "P2C",
    "Balancer",
    "Call",
    "ConsistentHash",
    "Group",
    "Health",
    "Instance",
    "LeastConnections",
    "NearestZone",
    "Peer",
    "PeerStatistics",
    "Probe",
    "Prober",
    "RoundRobin",
    "canary",
    "subset",
]
