"""Clients of outside systems, thin over well-kept libraries."""

__all__: list[str] = []
