"""Deadlines, limits, breakers: what stands between a request and its handler, and around calls."""

from megahertz.govern.budget import BudgetStatistics, RetryBudget
from megahertz.govern.bulkhead import Bulkhead, BulkheadStatistics
from megahertz.govern.fallback import Fallback, Stale
from megahertz.govern.gcra import GCRA, LimitStatistics
from megahertz.govern.guard import TROUBLE, Guard
from megahertz.govern.hedge import Hedge, HedgeStatistics
from megahertz.govern.policy import Policy
from megahertz.govern.retry import UNDONE, Attempt, Retry, RetryStatistics
from megahertz.govern.timeout import Timeout

__all__ = [
    "GCRA",
    "TROUBLE",
    "UNDONE",
    "Attempt",
    "BudgetStatistics",
    "Bulkhead",
    "BulkheadStatistics",
    "Fallback",
    "Guard",
    "Hedge",
    "HedgeStatistics",
    "LimitStatistics",
    "Policy",
    "Retry",
    "RetryBudget",
    "RetryStatistics",
    "Stale",
    "Timeout",
]
