"""The one door to the native module: everything else imports from `megahertz.engine`."""

from megahertz._core import (
    Answer,
    Engine,
    Exchange,
    Journal,
    Latencies,
    LoadRun,
    Replay,
    RequestTask,
    TlsConfig,
    __version__,
    read_request,
    ticket_secret,
)

__all__ = [
    "Answer",
    "Engine",
    "Exchange",
    "Journal",
    "Latencies",
    "LoadRun",
    "Replay",
    "RequestTask",
    "TlsConfig",
    "__version__",
    "read_request",
    "ticket_secret",
]
