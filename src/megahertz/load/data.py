"""Recorded values that requests take turns with: a CSV file with a header."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from megahertz.errors import BadSettings

# All cells are held in memory; k6's shared array has no limit, JMeter reads line by line.
_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Data:
    """Rows under named columns.

    Attributes:
        columns: what `{csv:COLUMN}` may name.
        rows: a cell for each column.
        random: a row is drawn for each request; else they take turns.
    """

    columns: tuple[str, ...]
    rows: list[list[bytes]] = field(repr=False)
    random: bool = False


def data(file: Path, *, random: bool = False) -> Data:
    """The rows of a CSV file (RFC 4180) in UTF-8.

    Raises:
        BadSettings: it cannot be read, or a row has not the header's cells; says which line.
    """
    try:
        if file.stat().st_size > _BYTES:
            raise BadSettings(f"{file}: larger than {_BYTES // 1024**2} MiB")
        with file.open(newline="", encoding="utf-8-sig") as lines:
            return _read(file, lines, random)
    except OSError as error:
        raise BadSettings(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{file}: not UTF-8: {error.reason}") from error


def _read(file: Path, lines: TextIO, random: bool) -> Data:
    reader = csv.reader(lines, strict=True)
    rows: list[list[bytes]] = []
    columns: list[str] = []
    try:
        for row in reader:
            if row and not columns:
                columns = [name.strip() for name in row]
            elif row and len(row) != len(columns):
                cells = f"{len(row)} cells, the header has {len(columns)}"
                raise BadSettings(f"{file}:{reader.line_num}: {cells}")
            elif row:
                rows.append([cell.encode() for cell in row])
    except csv.Error as error:
        raise BadSettings(f"{file}:{reader.line_num}: {error}") from error
    if not rows:
        raise BadSettings(f"{file}: needs a header and at least one row")
    return Data(tuple(columns), rows, random)
