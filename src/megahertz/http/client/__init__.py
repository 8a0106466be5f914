"""Calls to other services."""

from megahertz.http.client.client import Client
from megahertz.http.client.jar import Cookies
from megahertz.http.client.options import ClientStatistics, Options
from megahertz.http.client.response import ClientResponse, StreamedResponse
from megahertz.http.client.transport import Transport

__all__ = [
    "Client",
    "ClientResponse",
    "ClientStatistics",
    "Cookies",
    "Options",
    "StreamedResponse",
    "Transport",
]
