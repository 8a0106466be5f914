"""Load that can be trusted: what to send, how fast, and what came back."""

from megahertz.load.plan import Plan, Template, statuses
from megahertz.load.record import Outcome, Outcomes
from megahertz.load.report import Report, table
from megahertz.load.run import Progress, drive

__all__ = [
    "Outcome",
    "Outcomes",
    "Plan",
    "Progress",
    "Report",
    "Template",
    "drive",
    "statuses",
    "table",
]
