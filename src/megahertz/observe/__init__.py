"""What happens in a service, seen from the first minute."""

from megahertz.engine import TraceContext
from megahertz.observe.calls import calling
from megahertz.observe.current import current
from megahertz.observe.doctor import Facts, Finding, Machine, Severity, examine, probe
from megahertz.observe.logger import Logger
from megahertz.observe.logs import Logs, LogStatistics
from megahertz.observe.propagate import continued, extract, inject
from megahertz.observe.sampling import Sampling
from megahertz.observe.tracing import Tracing

__all__ = [
    "Facts",
    "Finding",
    "LogStatistics",
    "Logger",
    "Logs",
    "Machine",
    "Sampling",
    "Severity",
    "TraceContext",
    "Tracing",
    "calling",
    "continued",
    "current",
    "examine",
    "extract",
    "inject",
    "probe",
]
