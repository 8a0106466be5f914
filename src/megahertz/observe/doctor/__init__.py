"""Looks for what slows a service down outside of it: the network, the kernel, the limits."""

from megahertz.observe.doctor.examine import examine
from megahertz.observe.doctor.facts import (
    Cgroup,
    Facts,
    Finding,
    Process,
    Severity,
    Socket,
    State,
)
from megahertz.observe.doctor.machine import Machine
from megahertz.observe.doctor.probes import probe

__all__ = [
    "Cgroup",
    "Facts",
    "Finding",
    "Machine",
    "Process",
    "Severity",
    "Socket",
    "State",
    "examine",
    "probe",
]
