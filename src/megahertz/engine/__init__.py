"""The poller inside the asyncio loop."""

from megahertz.engine.bus import Bus
from megahertz.engine.native import (
    Answer,
    Callbacks,
    Engine,
    Exchange,
    Journal,
    Latencies,
    LoadRun,
    Replay,
    Routes,
    Socket,
    SocketSettings,
    asgi_answer,
    asgi_scope,
    plain_int,
    ticket_secret,
)
from megahertz.engine.server import Server
from megahertz.engine.service import ANY, WEBSOCKET, Endpoint, Route, Service
from megahertz.engine.signals import Signals
from megahertz.engine.sockets import BACKLOG, bind, listen, queue_limit, release, reserve, url
from megahertz.engine.statistics import ServerStatistics
from megahertz.engine.tls import Tls
from megahertz.engine.workers import (
    INTERRUPTED,
    START_FAILED,
    Lifeline,
    Supervisor,
    command,
    worker_count,
)

__all__ = [
    "ANY",
    "BACKLOG",
    "INTERRUPTED",
    "START_FAILED",
    "WEBSOCKET",
    "Answer",
    "Bus",
    "Callbacks",
    "Endpoint",
    "Engine",
    "Exchange",
    "Journal",
    "Latencies",
    "Lifeline",
    "LoadRun",
    "Replay",
    "Route",
    "Routes",
    "Server",
    "ServerStatistics",
    "Service",
    "Signals",
    "Socket",
    "SocketSettings",
    "Supervisor",
    "Tls",
    "asgi_answer",
    "asgi_scope",
    "bind",
    "command",
    "listen",
    "plain_int",
    "queue_limit",
    "release",
    "reserve",
    "ticket_secret",
    "url",
    "worker_count",
]
