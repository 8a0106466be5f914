"""What the engine writes as JSON by itself: msgspec's octets, or nothing."""

import datetime
import enum
import math
from collections import OrderedDict
from typing import Generic, TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from megahertz.engine import JsonEncoder

T = TypeVar("T")
ours = JsonEncoder(msgspec.json.encode)


class Line(msgspec.Struct):
    name: object = None
    price: object = 9.95
    count: object = 1


class Renamed(Line, rename="camel", kw_only=True):
    first_name: object = "é"
    a_name_that_is_longer_than_what_is_copied_in_one_piece: object = True


class Empty(msgspec.Struct, weakref=True, dict=True):
    pass


class Box(msgspec.Struct, Generic[T]):
    held: T


class Slim(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    sku: object


class Tagged(msgspec.Struct, tag=True):
    sku: int = 1


class Array(msgspec.Struct, array_like=True):
    sku: int = 1


class Sparse(msgspec.Struct, omit_defaults=True):
    sku: int = 1


class Maybe(msgspec.Struct):
    sku: int | msgspec.UnsetType = msgspec.UNSET


class Count(int):
    pass


class Colour(enum.Enum):
    RED = "red"


def texts():
    """Of all lengths that are copied in their own ways, with and without what is escaped."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=70)


def scalars():
    decimals = st.decimals(-(10**12), 10**12, places=3).map(float)
    integers = st.integers(-(2**63), 2**63 - 1)
    return st.one_of(st.none(), st.booleans(), integers, st.floats(), decimals, texts())


def values():
    return st.recursive(
        scalars(),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=4).map(tuple),
            st.dictionaries(texts(), inner, max_size=4),
            st.builds(Line, name=inner, price=inner, count=inner),
            st.builds(Renamed, name=inner, first_name=inner),
            st.builds(Box, held=inner),
            st.builds(Slim, sku=inner),
            st.builds(Empty),
        ),
        max_leaves=20,
    )


@given(values())
@example("".join(map(chr, range(0x180))))
@example([1e15, 1e16, 1e22, 1e-5, 1e-6, 5e-324, -0.0, 0.0, 0.001, 0.0005, 999999999999.9995])
@example([math.nan, math.inf, -math.inf])
@example([[], (), {}, Empty(), "", {"": [{}]}])
def test_plain_values_are_written_as_msgspec_writes_them(value):
    assert ours.plain(value) == msgspec.json.encode(value)


@given(st.text(max_size=40))
def test_any_text_is_msgspecs_or_is_left_to_it(text):
    try:
        expected = msgspec.json.encode([text, {text: 1}])
    except UnicodeEncodeError:  # a lone surrogate
        expected = None
    assert ours.plain([text, {text: 1}]) == expected


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        Count(1),
        Colour.RED,
        OrderedDict(a=1),
        {1: 2},
        {"a": b"octets"},
        {1},
        datetime.date(2026, 11, 22),
        Tagged(),
        Array(),
        Sparse(),
        Maybe(),
        object(),
        Line,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_left_to_the_other(value):
    assert ours.plain(value) is None
    assert ours.plain([Line(), {"deep": (value,)}]) is None


def test_a_struct_without_a_value_is_left_to_the_other():
    line = Line()
    del line.price
    assert ours.plain(line) is None


def test_a_circle_is_left_to_the_other():
    circle = []
    circle.append(circle)
    assert ours.plain(circle) is None


def test_types_that_are_made_all_the_time_are_forgotten_again():
    encoder = JsonEncoder(msgspec.json.encode)
    for index in range(600):
        made = msgspec.defstruct(f"Made{index}", [(f"field{index}", int)])
        assert encoder.plain(made(index)) == b'{"field%d":%d}' % (index, index)
        assert encoder.plain(Line()) == msgspec.json.encode(Line())


def test_called_it_is_the_other():
    assert JsonEncoder(lambda value: b"other")([1]) == b"other"


async def test_a_route_that_gives_something_else_is_looked_at_again_later(serve):
    asked, given_ = [], iter([{"sku": 1}, Colour.RED, {"sku": 2}, {"sku": 3}])

    def other(value):
        asked.append(value)
        return b'"by the other"'

    async def endpoint(exchange):
        return next(given_)

    async with serve({"GET /": endpoint}, encode=JsonEncoder(other)) as site:
        peer = await site.peer()
        bodies = [(await peer.get("/")).body for _ in range(4)]
    assert bodies == [b'{"sku":1}', b'"by the other"', b'"by the other"', b'{"sku":3}']
    assert asked == [Colour.RED, {"sku": 2}]


@pytest.mark.parametrize("size", [0, 100, 16_000, 17_000, 2_000_000])
async def test_answers_of_any_size_arrive(serve, size):
    value = {"text": "x" * size, "after": [1, 2.5, None]}

    async def endpoint(exchange):
        return value

    encoder = JsonEncoder(msgspec.json.encode)
    async with serve({"GET /": endpoint}, encode=encoder) as site:
        peer = await site.peer()
        for _ in range(3):
            reply = await peer.get("/")
            assert reply.fields["content-type"] == "application/json"
            assert reply.body == msgspec.json.encode(value)
