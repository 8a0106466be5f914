"""megahertz: async Python services at the cost of Go's."""

from typing import TYPE_CHECKING

from megahertz.context import cancel_reason, deadline
from megahertz.errors import HTTPError, WebSocketDisconnect
from megahertz.govern import (
    GCRA,
    AdaptiveBreaker,
    Breaker,
    LeakyBucket,
    Policy,
    Shed,
    SlidingWindow,
    Stale,
    TokenBucket,
)
from megahertz.http import (
    CORS,
    App,
    BackgroundTasks,
    Body,
    Compress,
    Cookie,
    Depends,
    Event,
    Events,
    FileResponse,
    Header,
    HTTPSRedirect,
    JSONResponse,
    Path,
    Query,
    Request,
    Response,
    Rooms,
    Router,
    Session,
    Sessions,
    StreamingResponse,
    TrustedHosts,
    UploadFile,
    WebSocket,
)
from megahertz.lazy import door

if TYPE_CHECKING:
    from megahertz.http import Client, RelayResponse
else:
    __getattr__, __dir__ = door(__name__, http="Client RelayResponse")

__all__ = [
    "CORS",
    "GCRA",
    "AdaptiveBreaker",
    "App",
    "BackgroundTasks",
    "Body",
    "Breaker",
    "Client",
    "Compress",
    "Cookie",
    "Depends",
    "Event",
    "Events",
    "FileResponse",
    "HTTPError",
    "HTTPSRedirect",
    "Header",
    "JSONResponse",
    "LeakyBucket",
    "Path",
    "Policy",
    "Query",
    "RelayResponse",
    "Request",
    "Response",
    "Rooms",
    "Router",
    "Session",
    "Sessions",
    "Shed",
    "SlidingWindow",
    "Stale",
    "StreamingResponse",
    "TokenBucket",
    "TrustedHosts",
    "UploadFile",
    "WebSocket",
    "WebSocketDisconnect",
    "cancel_reason",
    "deadline",
]
