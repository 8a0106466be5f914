"""Applications: routes, parameters, requests, responses."""

from typing import TYPE_CHECKING

from megahertz.http.app import App
from megahertz.http.asgi import AsgiHost
from megahertz.http.background import Background, BackgroundStatistics, BackgroundTasks
from megahertz.http.compress import Compress
from megahertz.http.cors import CORS
from megahertz.http.declared import Declared
from megahertz.http.events import Event, Events, last_event_id
from megahertz.http.files import FileResponse
from megahertz.http.forms import FormData, UploadFile
from megahertz.http.hosts import HTTPSRedirect, TrustedHosts
from megahertz.http.metrics import metrics_of
from megahertz.http.overview import Overview, scene
from megahertz.http.params import Body, Cookie, Depends, Header, Path, Query
from megahertz.http.problems import is_chosen, title
from megahertz.http.request import Address, Request
from megahertz.http.response import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from megahertz.http.rooms import Room, Rooms, RoomStatistics
from megahertz.http.routes import Router
from megahertz.http.service import service_of
from megahertz.http.session import Session
from megahertz.http.sessions import SessionMiddleware, Sessions
from megahertz.http.stream import StreamingResponse
from megahertz.http.threads import Threads, ThreadStatistics
from megahertz.http.websocket import WebSocket
from megahertz.lazy import door

if TYPE_CHECKING:
    from megahertz.http.client import Client, ClientResponse, ClientStatistics, StreamedResponse
    from megahertz.http.relay import RelayResponse
else:
    __getattr__, __dir__ = door(
        __name__,
        client="Client ClientResponse ClientStatistics StreamedResponse",
        relay="RelayResponse",
    )

__all__ = [
    "CORS",
    "Address",
    "App",
    "AsgiHost",
    "Background",
    "BackgroundStatistics",
    "BackgroundTasks",
    "Body",
    "Client",
    "ClientResponse",
    "ClientStatistics",
    "Compress",
    "Cookie",
    "Declared",
    "Depends",
    "Event",
    "Events",
    "FileResponse",
    "FormData",
    "HTMLResponse",
    "HTTPSRedirect",
    "Header",
    "JSONResponse",
    "Overview",
    "Path",
    "PlainTextResponse",
    "Query",
    "RedirectResponse",
    "RelayResponse",
    "Request",
    "Response",
    "Room",
    "RoomStatistics",
    "Rooms",
    "Router",
    "Session",
    "SessionMiddleware",
    "Sessions",
    "StreamedResponse",
    "StreamingResponse",
    "ThreadStatistics",
    "Threads",
    "TrustedHosts",
    "UploadFile",
    "WebSocket",
    "is_chosen",
    "last_event_id",
    "metrics_of",
    "scene",
    "service_of",
    "title",
]
