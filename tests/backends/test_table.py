"""Record types as columns."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypedDict

import msgspec
import pytest

from megahertz.backends.table import Column, columns, quoted, values
from megahertz.errors import BadSettings


class Item(msgspec.Struct):
    id: Annotated[int, msgspec.Meta(ge=0)]
    name: str | None
    tags: list[str]
    more: dict[str, int] | None = None


@dataclass
class Point:
    x: float


class Row(TypedDict):
    a: int
    b: bytes


class Pair(NamedTuple):
    a: bool
    b: int | str


def test_fields_become_columns():
    assert columns(Item) == (
        Column("id", int, False),
        Column("name", str, True),
        Column("tags", None, False),
        Column("more", None, True),
    )


def test_what_has_no_column_type_is_json():
    take = values(Item, columns(Item))
    assert take(Item(1, None, ["a"])) == (1, None, '["a"]', None)


@pytest.mark.parametrize(
    ("kind", "record", "expected"),
    [
        (Point, Point(0.5), (0.5,)),
        (Row, {"a": 1, "b": b"2"}, (1, b"2")),
        (Pair, Pair(True, "x"), (True, '"x"')),
    ],
    ids=["dataclass", "TypedDict", "NamedTuple"],
)
def test_every_kind_of_record_gives_its_values(kind, record, expected):
    assert values(kind, columns(kind))(record) == expected


def test_a_type_without_fields_is_refused():
    with pytest.raises(BadSettings, match="no fields"):
        columns(int)


@pytest.mark.parametrize("name", ["a b", 'a"b', "", "1a", "a;drop", "ä", "x" * 64, "a..b"])
def test_a_name_that_needs_quotes_is_refused(name: str):
    with pytest.raises(BadSettings):
        quoted(name)


def test_a_schema_is_quoted_apart():
    assert quoted("shop.orders") == '"shop"."orders"'
