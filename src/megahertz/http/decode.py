"""JSON of what handlers take: read by the engine where its shape is plain, by msgspec elsewhere."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias, get_origin

import msgspec
from msgspec import NODEFAULT
from msgspec.inspect import (
    BoolType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    type_info,
)

from megahertz.engine import JsonDecoder

Shape: TypeAlias = tuple[Any, ...]
"""What `JsonDecoder` takes."""

_CONSTANTS = (type(None), bool, int, float, str)
_ENDLESS = 2**63 - 1
_DEPTH = 8
"""Structs in Structs: a shape has each as often as it is mentioned."""


def decoder(kind: Any) -> Callable[[bytes], Any]:
    """`decode(octets) -> value`; what is wrong with them raises `msgspec.DecodeError`.

    Args:
        kind: any type that msgspec knows; TypeError of another one.
    """
    other = msgspec.json.Decoder(kind).decode
    shape = shape_of(type_info(kind))
    return other if shape is None else JsonDecoder(other, shape)


def shape_of(kind: Type, around: frozenset[type] = frozenset()) -> Shape | None:
    """What the engine has to know of a type; None where that is not plain.

    Plain are int, float, str and bool, these or None, lists and dicts of what is plain, bounds and
    lengths of them, and Structs, but for those with a tag, `array_like`, `__post_init__`, defaults
    that are made anew each time, themselves among their members, or eight around them.
    """
    match kind:
        case IntType(multiple_of=None):
            return "int", *_whole_bounds(kind)
        case FloatType(multiple_of=None):
            return "float", *_bounds(kind)
        case StrType(pattern=None):
            return "str", *_length(kind)
        case BoolType():
            return ("bool",)
        case Metadata(type=inner):
            return shape_of(inner, around)
        case UnionType(types=(inner, NoneType()) | (NoneType(), inner)):
            return _around("maybe", shape_of(inner, around))
        case ListType():
            return _around("list", shape_of(kind.item_type, around), *_length(kind))
        case DictType(min_length=None, max_length=None) if kind.key_type == StrType():
            return _around("dict", shape_of(kind.value_type, around))
        case StructType(tag=None, array_like=False):
            return _struct(kind, around)
    return None


def _around(name: str, inner: Shape | None, *bounds: int) -> Shape | None:
    return None if inner is None else (name, inner, *bounds)


def _whole_bounds(kind: IntType) -> tuple[int, int]:
    low = kind.gt + 1 if kind.gt is not None else kind.ge
    high = kind.lt - 1 if kind.lt is not None else kind.le
    return -_ENDLESS if low is None else low, _ENDLESS if high is None else high


def _bounds(kind: FloatType) -> tuple[float, float]:
    low = math.nextafter(kind.gt, math.inf) if kind.gt is not None else kind.ge
    high = math.nextafter(kind.lt, -math.inf) if kind.lt is not None else kind.le
    return -math.inf if low is None else low, math.inf if high is None else high


def _length(kind: StrType | ListType) -> tuple[int, int]:
    return kind.min_length or 0, _ENDLESS if kind.max_length is None else kind.max_length


def _struct(kind: StructType, around: frozenset[type]) -> Shape | None:
    made = get_origin(kind.cls) or kind.cls
    if kind.cls in around or len(around) == _DEPTH or hasattr(made, "__post_init__"):
        return None
    members = []
    for field in kind.fields:
        shape = shape_of(field.type, around | {kind.cls})
        if shape is None or not _has_plain_default(field):
            return None
        default = ... if field.default is NODEFAULT else field.default
        members.append((field.encode_name, field.name, shape, default))
    return made, members


def _has_plain_default(field: Field) -> bool:
    made = field.default_factory is not NODEFAULT
    return not made and (field.default is NODEFAULT or type(field.default) in _CONSTANTS)
