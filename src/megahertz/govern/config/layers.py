"""One typed value from several layers: defaults < file < environment < what a centre says.

A layer is a part of the whole, as nested mappings; what a later one has replaces what an earlier
one had, mapping by mapping. A name that no field has is refused in each of them, but for the
environment's, where it may be somebody else's: a limit that is misspelt is a limit that is not
there.
"""

import difflib
import os
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from megahertz.errors import BadSettings

T = TypeVar("T", bound=msgspec.Struct)

Layer = Mapping[str, Any]


def check_type(kind: type[msgspec.Struct]) -> None:
    """Refuses what could be changed under its readers.

    Raises:
        BadSettings: it, or a Struct inside it, is not frozen.
    """
    if not kind.__struct_config__.frozen:
        name = kind.__name__
        raise BadSettings(f"{name} can change under its readers: class {name}(Struct, frozen=True)")
    for _, inner in _fields(kind).values():
        if inner is not None:
            check_type(inner)


def from_file(path: Path) -> Layer:
    """The layer of a file: TOML, YAML (`megahertz[yaml]`) or JSON, by its suffix.

    Raises:
        BadSettings: it cannot be read, or is not a mapping.
    """
    try:
        found = _parsed(path.suffix, path.read_bytes())
    except OSError as error:
        raise BadSettings(f"{path}: {error.strerror}") from error
    except ImportError as error:
        raise BadSettings(f"{path}: YAML needs PyYAML: pip install 'megahertz[yaml]'") from error
    except ValueError as error:  # msgspec's and tomllib's
        raise BadSettings(f"{path}: {error}") from error
    if not isinstance(found, dict):
        raise BadSettings(f"{path}: a mapping expected, not {type(found).__name__}")
    return found


def _parsed(suffix: str, text: bytes) -> Any:
    if suffix in (".yaml", ".yml"):
        return msgspec.yaml.decode(text)
    if suffix == ".toml":
        return tomllib.loads(text.decode())
    if suffix == ".json":
        return msgspec.json.decode(text)
    raise ValueError(f"{suffix or 'no suffix'}: one of .toml, .yaml, .yml, .json expected")


def from_json(text: bytes) -> Layer:
    """The layer of a document; an empty one is no layer.

    Raises:
        BadSettings: it is no JSON, or no object.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any]) if text else {}
    except msgspec.MsgspecError as error:
        raise BadSettings(f"the document is no JSON object: {error}") from error


def from_environment(
    kind: type[msgspec.Struct], prefix: str, environment: Mapping[str, str] = os.environ
) -> Layer:
    """The layer of the environment: `SHOP_DATABASE__POOL=5` is `{"database": {"pool": 5}}`.

    A variable is read as its field's type; what is neither text, number nor truth is JSON.

    Raises:
        BadSettings: a variable is not of its field's type.
    """
    found: dict[str, Any] = {}
    for name, path, wanted in _variables(kind, prefix, ()):
        if name not in environment:
            continue
        at = found
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = _read(name, environment[name], wanted)
    return found


def _variables(
    kind: type[msgspec.Struct], prefix: str, path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    for name, (wanted, inner) in _fields(kind).items():
        variable = f"{prefix}{name.upper()}"
        yield variable, (*path, name), wanted
        if inner is not None:
            yield from _variables(inner, f"{variable}__", (*path, name))


def _read(name: str, text: str, wanted: Any) -> Any:
    try:
        return msgspec.to_builtins(msgspec.convert(text, wanted, strict=False))
    except msgspec.ValidationError as plain:
        try:
            return msgspec.to_builtins(msgspec.json.decode(text, type=wanted))
        except msgspec.MsgspecError:
            raise BadSettings(f"{name}={text!r}: {plain}") from plain


def built(kind: type[T], layers: Iterator[Layer] | list[Layer]) -> T:
    """The value of all layers, the last one's word being the last.

    Raises:
        BadSettings: a name that no field has, or a value that is not of its field's type.
    """
    whole: dict[str, Any] = {}
    for layer in layers:
        _check_names(kind, layer, ())
        whole = merged(whole, layer)
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        raise BadSettings(f"{kind.__name__}: {error}") from error


def merged(under: Layer, over: Layer) -> dict[str, Any]:
    """Both; where both have a mapping its members are merged, else `over` has its way."""
    found = dict(under)
    for name, value in over.items():
        before = found.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        found[name] = merged(before, value) if both else value  # type: ignore[arg-type]
    return found


def _check_names(kind: type[msgspec.Struct], layer: Layer, path: tuple[str, ...]) -> None:
    fields = _fields(kind)
    for name, value in layer.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f", did you mean {near[0]!r}?" if near else f" (there are {', '.join(fields)})"
            raise BadSettings(f"{kind.__name__}: no setting {'.'.join((*path, name))!r}{hint}")
        inner = fields[name][1]
        if inner is not None and isinstance(value, Mapping):
            _check_names(inner, value, (*path, name))


def _fields(kind: type[msgspec.Struct]) -> dict[str, tuple[Any, type[msgspec.Struct] | None]]:
    """Of each name in a document: its type, and the Struct in it."""
    return {
        field.encode_name: (field.type, _inner(field.type))
        for field in msgspec.structs.fields(kind)
    }


def _inner(wanted: Any) -> type[msgspec.Struct] | None:
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return wanted
    if typing.get_origin(wanted) in (typing.Union, types.UnionType, typing.Annotated):
        found = [it for it in map(_inner, typing.get_args(wanted)) if it is not None]
        return found[0] if len(found) == 1 else None
    return None
