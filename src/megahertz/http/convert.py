"""Text of a request into the type that a handler's annotation asks for."""

import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, Union

import msgspec
import msgspec.inspect

from megahertz.engine import plain_int

Convert = Callable[[Any], Any]


class _Flags(dict[str, bool]):
    """What FastAPI (pydantic) takes for a bool, in whatever case."""

    def __missing__(self, text: str) -> bool:
        lower = text.lower()
        if lower not in self:
            raise msgspec.ValidationError("Expected `bool`, got `str`")
        return self[lower]


whole: Convert = partial(plain_int, partial(msgspec.convert, type=int, strict=False))
"""An int; the plain case is native: an eighth of msgspec.convert's instructions."""

flag: Convert = _Flags(
    {
        **dict.fromkeys(("1", "true", "on", "yes", "t", "y"), True),
        **dict.fromkeys(("0", "false", "off", "no", "f", "n"), False),
    }
).__getitem__
"""A bool, in any of the usual spellings; a look-up alone, without a frame of Python."""


def converter(kind: Any) -> Convert | None:
    """Makes a value of `kind` from text, or from a list of texts; None: the text is the value.

    Raises:
        TypeError: msgspec cannot make one.
    """
    inner = without_none(kind)
    if inner is str or inner is Any:
        return None
    if inner is int:
        return whole
    if inner is bool:
        return flag
    check(inner)
    return partial(msgspec.convert, type=inner, strict=False)


def check(kind: Any) -> None:
    """Refuses at start-up what msgspec would refuse at the first request.

    Raises:
        TypeError: msgspec cannot make one.
    """
    info = msgspec.inspect.type_info(kind)
    parts = [info, getattr(info, "item_type", None), *getattr(info, "types", ())]
    for part in parts:
        if isinstance(part, msgspec.inspect.CustomType):
            raise TypeError(f"{part.cls.__name__} cannot be made from text or JSON")


def whole_numbers(kind: Any, raw: bytes, error: msgspec.ValidationError) -> Any:
    """Decodes a JSON body again in which 1.0 stands for an int, and raises any other error.

    JSON Schema (2020-12, section 4.2.2) holds 1.0 for an integer, and so our OpenAPI documents
    promise; msgspec does not, and is the faster for it.
    """
    if not str(error).startswith("Expected `int`, got `float`"):
        raise error
    return msgspec.convert(_whole_in(msgspec.json.decode(raw)), kind)


def _whole_in(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole_in(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole_in(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_many(kind: Any) -> bool:
    """Whether a parameter of this type takes every value of its name."""
    origin = typing.get_origin(_plain(kind)) or _plain(kind)
    return isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset)


def is_body(kind: Any) -> bool:
    """Whether a parameter of this type, unmarked, is the JSON body."""
    inner = _plain(kind)
    origin = typing.get_origin(inner)
    if origin in (Union, types.UnionType):
        return any(is_body(item) for item in typing.get_args(inner))
    if is_many(inner):
        return any(is_body(item) for item in typing.get_args(inner))
    return _is_record(inner) or origin is dict or inner is dict


def is_model(kind: Any) -> bool:
    """Whether it is a pydantic model: known by its method, so that pydantic is not imported."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json")


def spell(kind: Any) -> str:
    """A type as a message names it."""
    inner = without_none(kind)
    if typing.get_origin(inner) is Annotated:
        return spell(typing.get_args(inner)[0])
    if typing.get_origin(inner) is Literal:
        return " or ".join(repr(item) for item in typing.get_args(inner))
    if isinstance(inner, type) and issubclass(inner, enum.Enum):
        return " or ".join(repr(item.value) for item in inner)
    return getattr(inner, "__name__", None) if typing.get_origin(inner) is None else str(inner)  # type: ignore[return-value]


def item_of(kind: Any) -> Any:
    """What the list (set, tuple) holds."""
    return (*typing.get_args(_plain(kind)), str)[0]


def _is_record(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    return (
        issubclass(kind, msgspec.Struct)
        or dataclasses.is_dataclass(kind)
        or typing.is_typeddict(kind)
        or hasattr(kind, "__attrs_attrs__")
        or is_model(kind)
    )


def _plain(kind: Any) -> Any:
    inner = without_none(kind)
    return typing.get_args(inner)[0] if typing.get_origin(inner) is Annotated else inner


def without_none(kind: Any) -> Any:
    """`X | None` is X: text is never None."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return kind
    rest = [item for item in typing.get_args(kind) if item is not type(None)]
    return rest[0] if len(rest) == 1 else kind
