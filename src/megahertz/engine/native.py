"""The one door to the native module: everything else imports from `megahertz.engine`."""

from megahertz._core import (
    Answer,
    Callbacks,
    Engine,
    Exchange,
    Journal,
    Latencies,
    LoadRun,
    Replay,
    RequestTask,
    Socket,
    SocketSettings,
    TlsConfig,
    __version__,
    plain_int,
    read_request,
    ticket_secret,
)

__all__ = [
    "Answer",
    "Callbacks",
    "Engine",
    "Exchange",
    "Journal",
    "Latencies",
    "LoadRun",
    "Replay",
    "RequestTask",
    "Socket",
    "SocketSettings",
    "TlsConfig",
    "__version__",
    "plain_int",
    "read_request",
    "ticket_secret",
]
