"""The poller inside the asyncio loop."""

from megahertz.engine.native import Answer, Engine, Exchange, Journal, Replay
from megahertz.engine.server import Server
from megahertz.engine.service import Endpoint, Route, Service
from megahertz.engine.statistics import ServerStatistics
from megahertz.engine.workers import worker_count

__all__ = [
    "Answer",
    "Endpoint",
    "Engine",
    "Exchange",
    "Journal",
    "Replay",
    "Route",
    "Server",
    "ServerStatistics",
    "Service",
    "worker_count",
]
