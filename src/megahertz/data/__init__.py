"""Acknowledge early, persist surely."""

from megahertz.data.behind import Statistics, WriteBehind
from megahertz.data.dead import dead_letters

__all__ = ["Statistics", "WriteBehind", "dead_letters"]
