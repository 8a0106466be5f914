"""The flash sale: four stages of one shop, measured by requests and audited from outside."""

from megahertz.demo.audit import Audit, audit
from megahertz.demo.plot import plot
from megahertz.demo.sale import Moment, Sale, sell
from megahertz.demo.stages import STAGES, Stage
from megahertz.demo.table import audits, figures
from megahertz.demo.traffic import PHASES, Phase

__all__ = [
    "PHASES",
    "STAGES",
    "Audit",
    "Moment",
    "Phase",
    "Sale",
    "Stage",
    "audit",
    "audits",
    "figures",
    "plot",
    "sell",
]
