"""Deadlines, limits, breakers: what stands between a request and its handler, and around calls."""

from megahertz.govern.balance import Group, Instance, Probe, Prober
from megahertz.govern.breaker import AdaptiveBreaker, Breaker, BreakerStatistics
from megahertz.govern.budget import BudgetStatistics, RetryBudget
from megahertz.govern.bulkhead import Bulkhead, BulkheadStatistics
from megahertz.govern.fallback import TROUBLE, Fallback, Stale
from megahertz.govern.gate import is_native, set_gate
from megahertz.govern.guard import Guard
from megahertz.govern.hedge import Hedge, HedgeStatistics
from megahertz.govern.limit import (
    GCRA,
    LeakyBucket,
    Limiter,
    LimitStatistics,
    RedisScope,
    RedisStatistics,
    SlidingWindow,
    TokenBucket,
)
from megahertz.govern.policy import RULES, Policy
from megahertz.govern.refusal import ORDER, remembered
from megahertz.govern.retry import UNDONE, Attempt, Retry, RetryStatistics
from megahertz.govern.shed import Shed
from megahertz.govern.timeout import Timeout
from megahertz.govern.upstream import Upstream, UpstreamStatistics

__all__ = [
    "GCRA",
    "ORDER",
    "RULES",
    "TROUBLE",
    "UNDONE",
    "AdaptiveBreaker",
    "Attempt",
    "Breaker",
    "BreakerStatistics",
    "BudgetStatistics",
    "Bulkhead",
    "BulkheadStatistics",
    "Fallback",
    "Group",
    "Guard",
    "Hedge",
    "HedgeStatistics",
    "Instance",
    "LeakyBucket",
    "LimitStatistics",
    "Limiter",
    "Policy",
    "Probe",
    "Prober",
    "RedisScope",
    "RedisStatistics",
    "Retry",
    "RetryBudget",
    "RetryStatistics",
    "Shed",
    "SlidingWindow",
    "Stale",
    "Timeout",
    "TokenBucket",
    "Upstream",
    "UpstreamStatistics",
    "is_native",
    "remembered",
    "set_gate",
]
