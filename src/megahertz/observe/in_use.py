"""OpenTelemetry where it is in use: whoever has not imported its API has no spans.

Being installed is no reason to import it: its 20 modules are 1 MiB in each worker.
"""

import sys
from functools import cache
from typing import Any


def open_telemetry() -> Any:
    """Our bridge to its API (`otel.py`, with `trace` and `context`); None: nobody has imported it.

    By way of the import system where it is new, which waits for another thread that is at it.
    """
    return installed() if "opentelemetry.trace" in sys.modules else None


@cache
def installed() -> Any:
    """The same for who makes a trace current, which is to be there for whoever imports the API
    afterwards; None where it is not installed (the extra `megahertz[otel]`)."""
    try:
        from megahertz.observe import otel
    except ImportError:
        return None
    return otel
