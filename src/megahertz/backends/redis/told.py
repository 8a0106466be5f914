"""What a client of Redis says of itself in `/metrics`."""

from collections.abc import Iterable, Mapping

from megahertz.observe import series

_TOLD = {
    "commands": "redis_commands_total",
    "expired": "redis_expired_total",
    "refused": "redis_refused_total",
    "connected": "redis_connects_total",
    "waiting": "redis_waiting",
    "held": "redis_held_bytes",
    "own": "redis_connections",
}


def told(statistics: Mapping[str, int], redis: str) -> Iterable[tuple[str, float]]:
    """A client's statistics as figures; `redis` is where it is."""
    for name, family in _TOLD.items():
        yield series(family, redis=redis), statistics.get(name, 0)  # 0: no connection so far
