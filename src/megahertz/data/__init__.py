"""Acknowledge early, persist surely."""

__all__: list[str] = []
