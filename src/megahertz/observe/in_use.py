"""OpenTelemetry where it is in use: whoever has not imported its API has no spans.

Being installed is no reason to import it: its 20 modules are 1 MiB in each worker.
"""

import sys
from typing import Any

_bridge: Any = None


def open_telemetry() -> Any:
    """Our bridge to its API (`otel.py`, with `trace` and `context`); None: nobody has imported it.

    By way of the import system where it is new, which waits for another thread that is at it.
    """
    if _bridge is None and "opentelemetry.trace" in sys.modules:
        return installed()
    return _bridge


def installed() -> Any:
    """The same for who makes a trace current, which is to be there for whoever imports the API
    afterwards; None where it is not installed (the extra `megahertz[otel]`)."""
    global _bridge
    if _bridge is None:
        try:
            from megahertz.observe import otel
        except ImportError:
            return None
        _bridge = otel
    return _bridge
