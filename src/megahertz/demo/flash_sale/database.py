"""The shop's database: what is on sale, and what was ordered."""

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

SCHEMA = """
CREATE TABLE stock (sku INTEGER PRIMARY KEY, units INTEGER NOT NULL, sold INTEGER NOT NULL);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    sku INTEGER NOT NULL,
    user INTEGER NOT NULL UNIQUE,
    quantity INTEGER NOT NULL
);
"""


def folder() -> Path:
    """Where the shop keeps its data: FLASH_SALE, or here."""
    return Path(os.environ.get("FLASH_SALE", "."))


def create(file: Path, units: Mapping[int, int]) -> None:
    """A shop with that many units of each SKU on sale."""
    database = connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.executescript(SCHEMA)
    database.executemany("INSERT INTO stock VALUES (?, ?, 0)", units.items())
    database.close()


def connect(file: Path) -> sqlite3.Connection:
    """A connection whose commits are on the disk when they return."""
    database = sqlite3.connect(file, timeout=30, isolation_level=None)
    database.execute("PRAGMA synchronous=FULL")
    return database
