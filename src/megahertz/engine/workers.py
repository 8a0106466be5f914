"""Worker processes: how many there are, and which of them this is."""

import os


def worker_count() -> int:
    """How many worker processes serve together; 1 outside `mhz run --workers`."""
    return int(os.environ.get("MEGAHERTZ_WORKERS", "1"))
