"""The files that are served: made once, the same for every server."""

from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".cache/files"
PATTERN = bytes(range(256)) * 256
"""64 KiB."""

SIZES = {"64k.bin": 1, "10m.bin": 160}
"""By name, in patterns."""


def folder() -> Path:
    """Where they lie."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, count in SIZES.items():
        file = FOLDER / name
        if not file.exists() or file.stat().st_size != len(PATTERN) * count:
            file.write_bytes(PATTERN * count)
    return FOLDER
