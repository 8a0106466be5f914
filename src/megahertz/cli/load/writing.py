"""Files that a run writes."""

import json
from pathlib import Path
from typing import Any

import click


def writable(*files: Path | None) -> None:
    """Refuses, before the run, what could not be written after it.

    Raises:
        click.UsageError: the folder is missing.
    """
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise click.UsageError(f"{file}: there is no folder {file.parent}")


def write_json(file: Path, data: dict[str, Any]) -> None:
    """Indented, with a line break at the end."""
    file.write_text(json.dumps(data, indent=2) + "\n")
