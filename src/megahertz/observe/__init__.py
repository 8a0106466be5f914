"""What happens in a service, seen from the first minute."""

from megahertz.engine import TraceContext
from megahertz.observe.calls import calling
from megahertz.observe.current import current
from megahertz.observe.doctor import Facts, Finding, Machine, Severity, examine, probe
from megahertz.observe.leaks import Leak
from megahertz.observe.logger import Logger
from megahertz.observe.logs import Logs, LogStatistics
from megahertz.observe.metrics import exposition, scraped
from megahertz.observe.propagate import continued, extract, inject
from megahertz.observe.runtime import Alarm, Runtime, RuntimeStatistics, Thresholds
from megahertz.observe.sampler import Sampler
from megahertz.observe.sampling import Sampling
from megahertz.observe.sources import Source, series, tells
from megahertz.observe.tracing import Tracing
from megahertz.observe.watchdog import Blocked

__all__ = [
    "Alarm",
    "Blocked",
    "Facts",
    "Finding",
    "Leak",
    "LogStatistics",
    "Logger",
    "Logs",
    "Machine",
    "Runtime",
    "RuntimeStatistics",
    "Sampler",
    "Sampling",
    "Severity",
    "Source",
    "Thresholds",
    "TraceContext",
    "Tracing",
    "calling",
    "continued",
    "current",
    "examine",
    "exposition",
    "extract",
    "inject",
    "probe",
    "scraped",
    "series",
    "tells",
]
