"""Load that can be trusted: what to send, how fast, and what came back."""

from megahertz.load.cores import pair, pinned
from megahertz.load.machine import machine
from megahertz.load.plan import Plan, Template, statuses
from megahertz.load.record import Outcome, Outcomes
from megahertz.load.report import Report, duration, table
from megahertz.load.run import Progress, drive
from megahertz.load.usage import Usage, tree, usage

__all__ = [
    "Outcome",
    "Outcomes",
    "Plan",
    "Progress",
    "Report",
    "Template",
    "Usage",
    "drive",
    "duration",
    "machine",
    "pair",
    "pinned",
    "statuses",
    "table",
    "tree",
    "usage",
]
