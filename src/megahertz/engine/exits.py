"""With which codes a server ends."""

import signal
from typing import Final

START_FAILED: Final = 3
"""It never served (uvicorn and gunicorn: 3)."""

INTERRUPTED: Final = 128 + signal.SIGINT
"""After a second SIGINT, as a shell would say it."""
