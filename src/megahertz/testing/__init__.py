"""What tests of services need."""

from megahertz.testing.client import Client, Reply
from megahertz.testing.websocket import WebSocketSession

__all__ = ["Client", "Reply", "WebSocketSession"]
