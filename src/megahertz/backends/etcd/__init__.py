"""etcd: keys with revisions, leases, and watches that lose nothing."""

from megahertz.backends.etcd.client import Etcd, EtcdStatistics
from megahertz.backends.etcd.entry import (
    Changes,
    Compare,
    Delete,
    Entry,
    Get,
    Listing,
    Operation,
    Outcome,
    Put,
)
from megahertz.backends.etcd.lease import Lease
from megahertz.backends.etcd.options import Options
from megahertz.backends.etcd.watch import Watch

__all__ = [
    "Changes",
    "Compare",
    "Delete",
    "Entry",
    "Etcd",
    "EtcdStatistics",
    "Get",
    "Lease",
    "Listing",
    "Operation",
    "Options",
    "Outcome",
    "Put",
    "Watch",
]
