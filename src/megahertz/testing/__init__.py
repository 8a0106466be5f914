"""What tests of services need."""

import typing

from megahertz.testing.client import Client, Reply
from megahertz.testing.optional import __getattr__ as __getattr__
from megahertz.testing.websocket import WebSocketDenied, WebSocketSession

if typing.TYPE_CHECKING:
    from megahertz.testing.http_client import AsyncTestClient, TestClient

__all__ = [
    "AsyncTestClient",
    "Client",
    "Reply",
    "TestClient",
    "WebSocketDenied",
    "WebSocketSession",
]
