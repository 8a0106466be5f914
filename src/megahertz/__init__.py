"""megahertz: async Python services at the cost of Go's."""

from megahertz.errors import HTTPError, WebSocketDisconnect
from megahertz.govern import GCRA, Policy
from megahertz.http import (
    App,
    Body,
    Cookie,
    Depends,
    Event,
    Events,
    FileResponse,
    Header,
    JSONResponse,
    Path,
    Query,
    Request,
    Response,
    Rooms,
    Router,
    StreamingResponse,
    WebSocket,
)

__all__ = [
    "GCRA",
    "App",
    "Body",
    "Cookie",
    "Depends",
    "Event",
    "Events",
    "FileResponse",
    "HTTPError",
    "Header",
    "JSONResponse",
    "Path",
    "Policy",
    "Query",
    "Request",
    "Response",
    "Rooms",
    "Router",
    "StreamingResponse",
    "WebSocket",
    "WebSocketDisconnect",
]
