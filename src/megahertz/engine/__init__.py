"""The poller inside the asyncio loop."""

from typing import TYPE_CHECKING

from megahertz.engine.backoff import pause
from megahertz.engine.bus import Bus
from megahertz.engine.control import ask_reload, is_supervisor
from megahertz.engine.exits import INTERRUPTED, START_FAILED
from megahertz.engine.health import Health
from megahertz.engine.inspector import Inspector, Question, ask, ask_all
from megahertz.engine.lifeline import Lifeline, worker_count
from megahertz.engine.link import links
from megahertz.engine.memory import memory_limit, resident, size
from megahertz.engine.native import (
    Answer,
    BreakerCell,
    Callbacks,
    ClientAnswer,
    ClientTlsConfig,
    Engine,
    Exchange,
    Figure,
    Gate,
    GatePass,
    Journal,
    JsonDecoder,
    JsonEncoder,
    Latencies,
    Limiter,
    Link,
    LoadRun,
    Loudness,
    Plane,
    Quiet,
    Replay,
    Reply,
    Routes,
    ShedState,
    Socket,
    SocketSettings,
    TraceContext,
    TraceSource,
    asgi_answer,
    asgi_is_sized,
    asgi_scope,
    plain_int,
    ticket_secret,
)
from megahertz.engine.owners import listeners
from megahertz.engine.plane import RULES, look, make_visible, plane
from megahertz.engine.processors import bind_inherited, bindings, nodes, usable
from megahertz.engine.server import Server, Waiting
from megahertz.engine.service import (
    ANY,
    WEBSOCKET,
    Endpoint,
    Failed,
    Observer,
    Reserved,
    Route,
    Service,
    Unheard,
)
from megahertz.engine.signals import Signals
from megahertz.engine.sockets import BACKLOG, bind, listen, places, queue_limit, url
from megahertz.engine.statistics import ServerStatistics
from megahertz.engine.systemd import Notifier, activated
from megahertz.engine.tls import Tls
from megahertz.engine.worker import command
from megahertz.lazy import door

if TYPE_CHECKING:
    from megahertz.engine.client import Pool
    from megahertz.engine.client_settings import Origin, PoolSettings, PoolStatistics, Proxy
    from megahertz.engine.supervisor import Supervisor, no_more
else:
    __getattr__, __dir__ = door(
        __name__,
        client="Pool",
        client_settings="Origin PoolSettings PoolStatistics Proxy",
        supervisor="Supervisor no_more",
    )

__all__ = [
    "ANY",
    "BACKLOG",
    "INTERRUPTED",
    "RULES",
    "START_FAILED",
    "WEBSOCKET",
    "Answer",
    "BreakerCell",
    "Bus",
    "Callbacks",
    "ClientAnswer",
    "ClientTlsConfig",
    "Endpoint",
    "Engine",
    "Exchange",
    "Failed",
    "Figure",
    "Gate",
    "GatePass",
    "Health",
    "Inspector",
    "Journal",
    "JsonDecoder",
    "JsonEncoder",
    "Latencies",
    "Lifeline",
    "Limiter",
    "Link",
    "LoadRun",
    "Loudness",
    "Notifier",
    "Observer",
    "Origin",
    "Plane",
    "Pool",
    "PoolSettings",
    "PoolStatistics",
    "Proxy",
    "Question",
    "Quiet",
    "Replay",
    "Reply",
    "Reserved",
    "Route",
    "Routes",
    "Server",
    "ServerStatistics",
    "Service",
    "ShedState",
    "Signals",
    "Socket",
    "SocketSettings",
    "Supervisor",
    "Tls",
    "TraceContext",
    "TraceSource",
    "Unheard",
    "Waiting",
    "activated",
    "asgi_answer",
    "asgi_is_sized",
    "asgi_scope",
    "ask",
    "ask_all",
    "ask_reload",
    "bind",
    "bind_inherited",
    "bindings",
    "command",
    "is_supervisor",
    "links",
    "listen",
    "listeners",
    "look",
    "make_visible",
    "memory_limit",
    "no_more",
    "nodes",
    "pause",
    "places",
    "plain_int",
    "plane",
    "queue_limit",
    "resident",
    "size",
    "ticket_secret",
    "url",
    "usable",
    "worker_count",
]
