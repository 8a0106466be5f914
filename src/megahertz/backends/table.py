"""A record type as the columns of a table: names quoted, values made fit for a driver."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from megahertz.errors import BadSettings

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
"""PostgreSQL cuts identifiers at 63 bytes; anything that needs quotes to be read is refused."""

KINDS: dict[type[msgspec.inspect.Type], type] = {
    msgspec.inspect.BoolType: bool,
    msgspec.inspect.IntType: int,
    msgspec.inspect.FloatType: float,
    msgspec.inspect.StrType: str,
    msgspec.inspect.BytesType: bytes,
}
"""Types that both drivers take as they are; everything else is stored as JSON text."""


def quoted(name: str) -> str:
    """An identifier, in quotes; `schema.table` in two pairs.

    Raises:
        BadSettings: it is not made of letters, digits and underscores.
    """
    parts = name.split(".")
    if not all(NAME.match(part) for part in parts):
        raise BadSettings(f"{name!r} is not a plain SQL name (letters, digits, underscores)")
    return ".".join(f'"{part}"' for part in parts)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the record type.

    Attributes:
        name: of the field and of the column.
        kind: one of the values of `KINDS`, or None for JSON text.
        optional: whether None is among its values.
    """

    name: str
    kind: type | None
    optional: bool


def columns(record: type) -> tuple[Column, ...]:
    """The columns of a Struct, dataclass, TypedDict or NamedTuple, in the order of its fields.

    Raises:
        BadSettings: the type has no fields.
    """
    described = msgspec.inspect.type_info(record)
    fields = getattr(described, "fields", ())
    if not fields:
        raise BadSettings(f"{record!r} has no fields: give a Struct, dataclass or TypedDict")
    return tuple(_column(field.name, field.type) for field in fields)


def _column(name: str, described: msgspec.inspect.Type) -> Column:
    quoted(name)
    while isinstance(described, msgspec.inspect.Metadata):
        described = described.type
    optional = False
    if isinstance(described, msgspec.inspect.UnionType):
        empty = msgspec.inspect.NoneType
        rest = [each for each in described.types if not isinstance(each, empty)]
        optional = len(rest) < len(described.types)
        kinds = {KINDS.get(type(each)) for each in rest}
        return Column(name, kinds.pop() if len(kinds) == 1 else None, optional)
    return Column(name, KINDS.get(type(described)), optional)


def values(record: type, described: Sequence[Column]) -> Callable[[Any], tuple[Any, ...]]:
    """A function from a record to the values of its columns."""
    names = [column.name for column in described]
    mapping = issubclass(record, dict)
    take: Callable[[Any], Any] = itemgetter(*names) if mapping else attrgetter(*names)
    complex_ = {at for at, column in enumerate(described) if column.kind is None}
    if len(names) == 1:
        return lambda each: (_plain(take(each)) if complex_ else take(each),)
    if not complex_:
        return take
    return lambda each: tuple(
        _plain(value) if at in complex_ else value for at, value in enumerate(take(each))
    )


def _plain(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
