"""The poller inside the asyncio loop."""

__all__: list[str] = []
