"""The judge: reads what clients were told, the journal's bytes and the database, from outside.

It shares no code with the journal: the format is read here as rust/journal/src/frame.rs documents
it, so that a mistake there cannot hide itself.
"""

import os
import shutil
import sqlite3
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from child import Order, open_shop, stored

TABLE = []
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    TABLE.append(crc)


def crc32c(data: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for each in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ each) & 255]
    return crc ^ 0xFFFFFFFF


@dataclass(slots=True)
class Frame:
    offset: int
    length: int
    sequence: int
    payload: bytes | None


def frames(segment: Path) -> list[Frame]:
    """The valid frames of a segment up to the first that is not one."""
    data = segment.read_bytes()
    assert data[:8] == b"MHZJRNL\n", segment
    index, _, _, salt = struct.unpack_from("<4Q", data, 16)
    seed = crc32c(struct.pack("<QQ", salt, index))
    found, at = [], 64
    while at + 16 <= len(data):
        word, crc, sequence = struct.unpack_from("<IIQ", data, at)
        end = at + 16 + (word & 0x7FFFFFFF)
        if end > len(data) or word & 0x7FFFFFFF == 0:
            break
        if crc32c(data[at : at + 4] + data[at + 8 : end], seed) != crc:
            break
        payload = None if word >> 31 else data[at + 16 : end]
        found.append(Frame(at, end - at, sequence, payload))
        at = end
    return found


def journaled(directory: Path) -> list[Order]:
    """Every record in the journal, persisted or not, in order."""
    decode = msgspec.msgpack.Decoder(Order).decode
    found = []
    for segment in sorted(directory.glob("*.segment")):
        found += [decode(each.payload) for each in frames(segment) if each.payload]
    return found


def effects(path: Path) -> Counter[str]:
    """How often the database took each order."""
    connection = sqlite3.connect(path)
    try:
        return Counter(row[0] for row in connection.execute("SELECT id FROM effects"))
    finally:
        connection.close()


@dataclass(slots=True)
class Ledger:
    """What clients asked for and were told, over every run of a home directory."""

    stock: int
    acked: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def note(self, event: dict) -> None:
        if "ack" in event:
            self.acked.add(event["ack"])
            self.refused.discard(event["ack"])
        elif "refused" in event:
            self.refused.add(event["refused"])
        elif "unknown" in event:
            self.unknown.add(event["unknown"])
        assert len(self.acked) <= self.stock, "I1: oversold"


async def recover(home: Path) -> None:
    """A start, whatever is left, and an orderly end."""
    orders, _ = open_shop(home)
    async with orders:
        await orders.flush()


async def prepare(home: Path) -> None:
    """An empty journal, and a database that counts the effect of each order."""
    os.makedirs(home, exist_ok=True)
    await recover(home)
    connection = sqlite3.connect(home / "shop.db")
    connection.executescript(
        "CREATE TABLE effects (id TEXT);"
        "CREATE TRIGGER counted AFTER INSERT ON orders"
        " BEGIN INSERT INTO effects VALUES (new.id); END;"
    )
    connection.close()


async def check(home: Path, ledger: Ledger) -> set[str]:
    """I1 to I4 and I6, before and after a recovery; gives the orders that exist."""
    journal, path = home / "journal", home / "shop.db"
    before = {order.id for order in journaled(journal)} | set(stored(path))
    assert ledger.acked <= before, "I6: acknowledged, and nowhere on the disk"

    copy = home / "before"
    shutil.copytree(journal, copy)
    await recover(home)
    once = effects(path)
    shutil.rmtree(journal)
    copy.rename(journal)
    await recover(home)
    twice = effects(path)

    exist = set(twice)
    assert once == twice, "I4: a second replay changed something"
    assert ledger.acked <= exist, f"I2: lost {sorted(ledger.acked - exist)[:3]}"
    assert set(twice.values()) <= {1}, "I2, I3: an order twice"
    assert len(exist) <= ledger.stock, "I1: oversold"
    assert not ledger.refused & exist, "I6: refused, and there"
    assert sorted(exist) == sorted(stored(path))
    return exist
