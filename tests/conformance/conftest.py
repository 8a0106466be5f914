"""The engine's own fixtures serve the suites too."""

from tests.engine.conftest import serve

__all__ = ["serve"]
