"""What tests of services need."""

from megahertz.testing.client import Client, Reply

__all__ = ["Client", "Reply"]
