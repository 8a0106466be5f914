"""Deadlines, limits, breakers: what stands between a request and its handler."""

from megahertz.govern.bulkhead import Bulkhead, BulkheadStatistics
from megahertz.govern.gcra import GCRA, LimitStatistics
from megahertz.govern.policy import Policy

__all__ = ["GCRA", "Bulkhead", "BulkheadStatistics", "LimitStatistics", "Policy"]
