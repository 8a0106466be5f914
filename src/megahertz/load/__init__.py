"""Load that can be trusted: what to send, how fast, and what came back."""

__all__: list[str] = []
