"""Deadlines, limits, breakers: what stands between a request and its handler."""

__all__: list[str] = []
