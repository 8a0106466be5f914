"""Acknowledge early, persist surely."""

from megahertz.data.behind import Statistics, WriteBehind

__all__ = ["Statistics", "WriteBehind"]
