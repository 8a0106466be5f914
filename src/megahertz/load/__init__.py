"""Load that can be trusted: what to send, how fast, and what came back."""

from megahertz.load.compare import Comparison, compare, comparison
from megahertz.load.cores import pair, pinned
from megahertz.load.data import Data, data
from megahertz.load.findings import Bounds, Finding
from megahertz.load.html import in_a_row, knee_page, page
from megahertz.load.knee import Knee, Search, Step, search
from megahertz.load.live import Live
from megahertz.load.machine import machine
from megahertz.load.part import Part
from megahertz.load.plan import Plan
from megahertz.load.record import Outcome, Outcomes
from megahertz.load.report import Report
from megahertz.load.run import Progress, drive
from megahertz.load.sample import Sample, write
from megahertz.load.scenario import Scenario, scenario
from megahertz.load.server import Gauge, Server
from megahertz.load.stages import Stage, Stages, stages
from megahertz.load.table import breakdown, duration, heading, table
from megahertz.load.template import Template, statuses
from megahertz.load.think import Think, think
from megahertz.load.threshold import Threshold, threshold
from megahertz.load.usage import Usage, tree, usage

__all__ = [
    "Bounds",
    "Comparison",
    "Data",
    "Finding",
    "Gauge",
    "Knee",
    "Live",
    "Outcome",
    "Outcomes",
    "Part",
    "Plan",
    "Progress",
    "Report",
    "Sample",
    "Scenario",
    "Search",
    "Server",
    "Stage",
    "Stages",
    "Step",
    "Template",
    "Think",
    "Threshold",
    "Usage",
    "breakdown",
    "compare",
    "comparison",
    "data",
    "drive",
    "duration",
    "heading",
    "in_a_row",
    "knee_page",
    "machine",
    "page",
    "pair",
    "pinned",
    "scenario",
    "search",
    "stages",
    "statuses",
    "table",
    "think",
    "threshold",
    "tree",
    "usage",
    "write",
]
