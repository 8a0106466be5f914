"""What was measured, where and with what: the files under `results/`."""

import json
import os
import statistics
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.build import is_release
from benchmarks.method import Points
from benchmarks.peer import peers
from benchmarks.work import Work
from megahertz.load import machine

FOLDER = Path(__file__).parent / "results"
Found = Mapping[str, Any]


def result(
    work: Work,
    points: Points,
    missing: Mapping[str, str],
    *,
    command: str,
    method: Mapping[str, object],
) -> dict[str, Any]:
    """Plain data with everything that somebody else needs to repeat it."""
    known = peers()
    names = dict.fromkeys(name for measured in points.values() for name in measured)
    return {
        **about(work.name),
        "what": work.what,
        "command": command,
        "versions": {name: known[name].version() for name in names},
        "method": dict(method),
        "points": {
            point: {name: spreads(figures) for name, figures in measured.items()}
            for point, measured in points.items()
        },
        "missing": dict(missing),
    }


def about(work: str) -> dict[str, Any]:
    """What every result says: of which work, when, of which commit and on which machine."""
    load = round(os.getloadavg()[0], 2)  # above 2 on two cores: somebody else was at work
    return {
        "work": work,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine() | {"load": load},
    }


def said(found: Found) -> str:
    """The same in words, for a line below a table."""
    place = found["machine"]
    return (
        f"{found['when'][:10]}, commit {found['commit']}, {place['cpu']}, {place['cores']} cores, "
        f"Linux {place['kernel']}"
    )


def save(found: Found, folder: Path = FOLDER) -> Path:
    """Writes it under its time."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{found['work']}-{found['when'][:19].replace(':', '')}.json"
    file.write_text(json.dumps(found, indent=1) + "\n")
    return file


def tell(found: Found, lines: Iterable[str], *, keep: bool) -> None:
    """Shows a result, and writes it where that is wanted.

    Raises:
        ClickException: it was to be kept, and is none of a release build.
    """
    click.echo("\n".join(lines))
    if not keep:
        return
    if not is_release():
        raise click.ClickException("not saved: `make install` first, for a release build")
    click.echo(save(found))


def newest(name: str, folder: Path = FOLDER) -> Found | None:
    """The latest result of that name; their files sort by time."""
    files = sorted(folder.glob(f"{name}-[0-9]*.json"))
    return json.loads(files[-1].read_text()) if files else None


def median(found: Found, point: str, peer: str, figure: str) -> float | None:
    """Of the rounds; None where that was not measured."""
    spread = found["points"].get(point, {}).get(peer, {}).get(figure)
    return None if spread is None else float(spread["median"])


def commit() -> str:
    """Of the work tree, marked when it has changes."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=FOLDER.parent)
    return done.stdout.strip() or "unknown"


def spreads(figures: Mapping[str, list[float]]) -> dict[str, Any]:
    """Median, least, greatest and all rounds of each figure."""
    return {name: _spread(values) for name, values in figures.items()}


def _spread(values: list[float]) -> dict[str, Any]:
    digits = 6 if max(values) < 1 else 3
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "rounds": [round(value, digits) for value in values],
    }
