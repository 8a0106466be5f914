"""The part of the package that needs httpx, imported when somebody asks for it."""

from typing import Any


def __getattr__(name: str) -> Any:
    """For the package's door: nobody else needs httpx installed."""
    if name not in ("AsyncTestClient", "TestClient"):
        raise AttributeError(f"module 'megahertz.testing' has no attribute {name!r}")
    try:
        from megahertz.testing import http_client
    except ModuleNotFoundError as error:
        if error.name not in ("httpx", "h11"):
            raise
        raise ImportError(
            f"megahertz.testing.{name} needs httpx2: pip install 'megahertz[test]'"
        ) from error
    return getattr(http_client, name)
