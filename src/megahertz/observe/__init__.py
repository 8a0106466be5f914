"""What happens in a service, seen from the first minute."""

from typing import TYPE_CHECKING

from megahertz.engine import TraceContext
from megahertz.lazy import door
from megahertz.observe.calls import calling
from megahertz.observe.current import current
from megahertz.observe.in_use import open_telemetry
from megahertz.observe.kept import Kept, Slow, Span, kept
from megahertz.observe.live import Scene, Snapshot, Worker, WorkerState, states
from megahertz.observe.logger import Logger
from megahertz.observe.logs import Logs, LogStatistics
from megahertz.observe.metrics import exposition, scraped
from megahertz.observe.observed import observed
from megahertz.observe.propagate import (
    continued,
    extract,
    grpc_continued,
    grpc_options,
    inject,
)
from megahertz.observe.sampler import Sampler
from megahertz.observe.sampling import Sampling
from megahertz.observe.slo import SLO, Objective, slo_rules
from megahertz.observe.sources import Source, series, tells

if TYPE_CHECKING:
    from megahertz.observe.diagram import Node, forest, mermaid
    from megahertz.observe.doctor import Facts, Finding, Machine, Severity, examine, probe
    from megahertz.observe.export import MetricsExport
    from megahertz.observe.leaks import Leak
    from megahertz.observe.otlp_json import spans_of
    from megahertz.observe.runtime import Alarm, Runtime, RuntimeStatistics, Thresholds
    from megahertz.observe.tracing import Tracing
    from megahertz.observe.watchdog import Blocked
else:
    __getattr__, __dir__ = door(
        __name__,
        diagram="Node forest mermaid",
        doctor="Facts Finding Machine Severity examine probe",
        export="MetricsExport",
        leaks="Leak",
        otlp_json="spans_of",
        profile="",
        runtime="Alarm Runtime RuntimeStatistics Thresholds",
        tracing="Tracing",
        watchdog="Blocked",
    )

__all__ = [
    "SLO",
    "Alarm",
    "Blocked",
    "Facts",
    "Finding",
    "Kept",
    "Leak",
    "LogStatistics",
    "Logger",
    "Logs",
    "Machine",
    "MetricsExport",
    "Node",
    "Objective",
    "Runtime",
    "RuntimeStatistics",
    "Sampler",
    "Sampling",
    "Scene",
    "Severity",
    "Slow",
    "Snapshot",
    "Source",
    "Span",
    "Thresholds",
    "TraceContext",
    "Tracing",
    "Worker",
    "WorkerState",
    "calling",
    "continued",
    "current",
    "examine",
    "exposition",
    "extract",
    "forest",
    "grpc_continued",
    "grpc_options",
    "inject",
    "kept",
    "mermaid",
    "observed",
    "open_telemetry",
    "probe",
    "scraped",
    "series",
    "slo_rules",
    "spans_of",
    "states",
    "tells",
]
