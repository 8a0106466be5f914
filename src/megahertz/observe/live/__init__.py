"""A server that runs, looked at: its workers, routes, rules, requests that wait, errors."""

from megahertz.observe.live.asked import states
from megahertz.observe.live.events import Event, Events
from megahertz.observe.live.scene import Scene
from megahertz.observe.live.snapshot import (
    Breaking,
    Limiting,
    Refusal,
    Routed,
    Snapshot,
    Totals,
    Working,
)
from megahertz.observe.live.worker import Held, Worker, WorkerState

__all__ = [
    "Breaking",
    "Event",
    "Events",
    "Held",
    "Limiting",
    "Refusal",
    "Routed",
    "Scene",
    "Snapshot",
    "Totals",
    "Worker",
    "WorkerState",
    "Working",
    "states",
]
