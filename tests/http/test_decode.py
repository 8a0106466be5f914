"""JSON that the engine reads by itself: msgspec's value, or none at all."""

import datetime
import gc
import json
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta
from msgspec.inspect import type_info

from megahertz.engine import JsonDecoder
from megahertz.http.decode import decoder, shape_of

T = TypeVar("T")


class Line(msgspec.Struct):
    sku: int
    name: str = "none"
    price: float = 9.95
    gift: bool | None = None


class Order(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    lines: list[Line]
    first_line: Line | None = None
    note_é: Annotated[str, Meta(title="note")]
    a_name_that_is_longer_than_what_is_compared_in_one_piece: list[list[float | None]] = (
        msgspec.field(name="a name that is longer than what is compared")
    )


class Empty(msgspec.Struct, weakref=True, dict=True):
    pass


class Box(msgspec.Struct, Generic[T]):
    held: T


class Slim(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    sku: int


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    sku: int | None


class Bounded(msgspec.Struct):
    count: Annotated[int, Meta(gt=0, le=10)]
    share: Annotated[float, Meta(ge=0, lt=1)]
    name: Annotated[str, Meta(min_length=2, max_length=4)]
    tags: Annotated[list[str], Meta(max_length=2)]


KINDS = [
    Line,
    Order,
    Empty,
    Box[Line],
    Slim,
    Strict,
    Bounded,
    list[Line],
    list[int] | None,
    dict[str, Line | None],
    str,
    float,
]
OURS = {kind: decoder(kind) for kind in KINDS}
KIND = st.sampled_from(KINDS)


def plain(kind, text):
    """What the engine makes of it; None or a value in a tuple."""
    return OURS[kind].plain(text)


def expected(kind, text):
    try:
        return (msgspec.json.decode(text, type=kind),)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def spelled(value):
    """Equal values of different types, or with different zeros, are not the same."""
    if isinstance(value, list | tuple):
        return [spelled(item) for item in value]
    if isinstance(value, dict):
        return [[key, spelled(item)] for key, item in value.items()]
    if isinstance(value, msgspec.Struct):
        return [type(value), *map(spelled, msgspec.structs.astuple(value))]
    return [type(value), repr(value)]


def values(kind):
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
    integers = st.integers(-(10**18) + 1, 10**18 - 1)
    floats = st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.decimals(-(10**12), 10**12, places=3).map(float),
    )
    line = st.fixed_dictionaries(
        {"sku": integers},
        optional={"name": texts, "price": floats | integers, "gift": st.none() | st.booleans()},
    )
    order = st.fixed_dictionaries(
        {
            "lines": st.lists(line, max_size=5),
            "noteÉ": texts,
            "a name that is longer than what is compared": st.lists(
                st.lists(st.none() | floats, max_size=4), max_size=4
            ),
        },
        optional={"firstLine": st.none() | line},
    )
    return {
        Line: line,
        Order: order,
        Empty: st.just({}),
        Box[Line]: st.fixed_dictionaries({"held": line}),
        Slim: st.fixed_dictionaries({"sku": integers}),
        Strict: st.fixed_dictionaries({"sku": integers | st.none()}),
        Bounded: st.fixed_dictionaries(
            {
                "count": st.integers(1, 10),
                "share": st.floats(0, 1, exclude_max=True),
                "name": st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=4),
                "tags": st.lists(texts, max_size=2),
            }
        ),
        list[Line]: st.lists(line, max_size=5),
        dict[str, Line | None]: st.dictionaries(texts, st.none() | line, max_size=5),
        list[int] | None: st.none() | st.lists(integers, max_size=40),
        str: texts,
        float: floats,
    }[kind]


@st.composite
def texts_of(draw):
    """A kind, and JSON of a value of it in one of many forms."""
    kind = draw(KIND)
    value = draw(values(kind))
    if isinstance(value, dict):
        value = dict(draw(st.permutations(list(value.items()))))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: \r")]))
    indent = draw(st.sampled_from([None, None, 2]))
    text = json.dumps(value, separators=separators, indent=indent, ensure_ascii=draw(st.booleans()))
    return kind, text.encode()


@given(texts_of())
def test_what_is_plain_is_made_as_msgspec_makes_it(drawn):
    kind, text = drawn
    made = plain(kind, text)
    assert made is not None
    assert spelled(made) == spelled(expected(kind, text))
    assert spelled((OURS[kind](text),)) == spelled(made)


@given(texts_of(), st.data())
def test_what_is_not_as_it_should_be_is_left_to_msgspec(drawn, data):
    kind, text = drawn
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(at + 3, len(text))))
    put = data.draw(st.binary(max_size=2) | st.sampled_from([b",", b"}", b"0", b"-", b"\\", b'"']))
    text = text[:at] + put + text[end:]
    made = plain(kind, text)
    if made is not None:
        assert spelled(made) == spelled(expected(kind, text))


@pytest.mark.parametrize("kind", KINDS)
@example(text="")
@given(text=st.text('{}[]",:\\u0skunameprice1.e-+ \n', max_size=30))
def test_any_text_is_msgspecs_or_is_left_to_it(kind, text):
    made = plain(kind, text.encode())
    assert made is None or spelled(made) == spelled(expected(kind, text.encode()))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Line, b""),
        (Line, b"}"),
        (Line, b"{}"),
        (Line, b"[]"),
        (Line, b"null"),
        (Line, b'{"sku":1'),
        (Line, b'{"sku":1,}'),
        (Line, b'{"sku":1}}'),
        (Line, b'{"sku":1 "name":"a"}'),
        (Line, b'{"sku":1.0}'),
        (Line, b'{"sku":1e0}'),
        (Line, b'{"sku":01}'),
        (Line, b'{"sku":"1"}'),
        (Line, b'{"sku":true}'),
        (Line, b'{"sku":1000000000000000000}'),
        (Line, b'{"sku":1,"sku":2}'),
        (Line, b'{"sku":1,"colour":2}'),
        (Line, b'{"sku":1,"name":null}'),
        (Line, b'{"sku":1,"name":"\xff"}'),
        (Line, b'{"sku":1,"name":"\n"}'),
        (Line, b'{"sku":1,"name":"\\ud800"}'),
        (Line, b'{"sku":1,"price":1e999}'),
        (Line, b'{"sku":1,"price":NaN}'),
        (Line, b'{"sku":1,"gift":0}'),
        (Strict, b"{}"),
        (Bounded, b'{"count":0,"share":0,"name":"ab","tags":[]}'),
        (Bounded, b'{"count":11,"share":0,"name":"ab","tags":[]}'),
        (Bounded, b'{"count":1,"share":-1e-9,"name":"ab","tags":[]}'),
        (Bounded, b'{"count":1,"share":1,"name":"ab","tags":[]}'),
        (Bounded, b'{"count":1,"share":0,"name":"a","tags":[]}'),
        (Bounded, '{"count":1,"share":0,"name":"éééé\U0001f600","tags":[]}'.encode()),
        (Bounded, b'{"count":1,"share":0,"name":"ab","tags":["a","b","c"]}'),
        (dict[str, Line | None], b'{"a":null,}'),
        (dict[str, Line | None], b"{1:null}"),
        (Strict, b'{"sku":1,"colour":2}'),
        (float, b"-0"),
        (list[Line], b'[{"sku":1},]'),
        (list[Line], b'[{"sku":1} {"sku":2}]'),
        (list[Line], b"[" * 1000),
        (str, b'"'),
    ],
)
def test_what_is_unexpected_is_left_to_the_other(kind, text):
    assert plain(kind, text) is None
    assert outcome(OURS[kind], text) == outcome(msgspec.json.Decoder(kind).decode, text)


def outcome(decode, text):
    try:
        return decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return type(error), str(error)


class Tagged(msgspec.Struct, tag=True):
    sku: int = 1


class Array(msgspec.Struct, array_like=True):
    sku: int = 1


class Checked(msgspec.Struct):
    sku: int

    def __post_init__(self):
        raise ValueError("sold out")


class Listed(msgspec.Struct):
    tags: list[str] = []


class Tree(msgspec.Struct):
    children: list["Tree"]


def nested(depth):
    """A Struct of two of a Struct of two, and so on: twice as many each time."""
    kind = int
    for index in range(depth):
        kind = msgspec.defstruct(f"Nested{index}", [("left", kind), ("right", kind)])
    return kind


def test_structs_lie_in_structs_eight_deep_and_no_deeper():
    assert isinstance(decoder(nested(8)), JsonDecoder)
    assert shape_of(type_info(nested(9))) is None


@pytest.mark.parametrize(
    "kind",
    [
        Any,
        Annotated[int, Meta(multiple_of=2)],
        Annotated[float, Meta(multiple_of=0.5)],
        Annotated[str, Meta(pattern="a")],
        Annotated[dict[str, int], Meta(max_length=3)],
        dict[Annotated[str, Meta(max_length=3)], int],
        dict[int, int],
        int | str,
        int | str | None,
        dict[str, bytes],
        tuple[int, int],
        set[int],
        bytes,
        datetime.date,
        Literal["a"],
        Tagged,
        Array,
        Checked,
        Listed,
        Tree,
        Box[Tree],
    ],
    ids=str,
)
def test_other_types_are_the_others(kind):
    assert shape_of(type_info(kind)) is None
    assert shape_of(type_info(list[kind])) is None
    assert not isinstance(decoder(kind), JsonDecoder)


@pytest.mark.parametrize(
    "text", [b'{"sku":1}', b'{"price": 1, "sku": 1}', b'{"sku":1,"gift":null}']
)
def test_the_collector_looks_at_the_same_as_with_msgspec(text):
    (made,) = plain(Line, text)
    assert gc.is_tracked(made) == gc.is_tracked(msgspec.json.decode(text, type=Line))
    (made,) = plain(Box[Line], b'{"held":%b}' % text)
    assert gc.is_tracked(made)
    made.held.name = circle = [made]
    assert gc.is_tracked(made.held)
    assert circle in gc.get_referrers(made)


def test_values_are_freed_with_what_was_read_of_a_text_that_went_wrong():
    text = b'{"held":{"sku":1,"name":"%b"' % (b"x" * 100_000)
    shape = OURS[Box[Line]].plain
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        assert shape(text) is None
    assert len(gc.get_objects()) - before < 10


def test_a_peer_whose_texts_are_unexpected_is_looked_at_seldom_but_again():
    asked = []

    def other(octets):
        asked.append(octets)
        return "the other's"

    decode = JsonDecoder(other, ("int", 0, 10))
    for _ in range(1000):
        assert decode(b"x") == "the other's"
    turns = [decode(b"7") for _ in range(130)]
    assert turns[-1] == 7
    first = turns.index(7)
    assert first <= 64
    assert turns[first:] == [7] * (130 - first)
    assert asked == [b"x"] * 1000 + [b"7"] * first


@pytest.mark.parametrize(
    "shape",
    [
        (),
        None,
        ("int",),
        ("int", 0, 2**63),
        ("set", ("bool",)),
        ("list", ("bool",)),
        ("list", bytes, 0, 1),
        (Line, None),
        (Line, [("a", "b")]),
        (Line, [("sku", "missing", ("bool",), ...)]),
        (int, [("sku", "real", ("bool",), ...)]),
    ],
    ids=str,
)
def test_no_decoder_is_made_of_what_is_no_shape(shape):
    with pytest.raises((TypeError, ValueError, IndexError, OverflowError)):
        JsonDecoder(lambda octets: None, shape)


def test_a_name_that_comes_twice_in_a_dict_has_its_last_value():
    made = plain(dict[str, Line | None], b'{"a":{"sku":1},"b":null,"a":null}')
    assert made == ({"a": None, "b": None},)
