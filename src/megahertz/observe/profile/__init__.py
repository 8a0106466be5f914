"""A process recorded for some seconds: what ran on whose behalf, and who waited for what."""

from megahertz.observe.profile.findings import Finding, findings
from megahertz.observe.profile.flame import flame
from megahertz.observe.profile.heap import grown
from megahertz.observe.profile.perfetto import trace_events
from megahertz.observe.profile.recorder import LONGEST, MOST_RATE, RATE, Recorder
from megahertz.observe.profile.recording import Cost, Frame, Growth, Recording, Slice, Stack, Track
from megahertz.observe.profile.speedscope import speedscope
from megahertz.observe.profile.timeline import timeline

__all__ = [
    "LONGEST",
    "MOST_RATE",
    "RATE",
    "Cost",
    "Finding",
    "Frame",
    "Growth",
    "Recorder",
    "Recording",
    "Slice",
    "Stack",
    "Track",
    "findings",
    "flame",
    "grown",
    "speedscope",
    "timeline",
    "trace_events",
]
