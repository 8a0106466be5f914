"""A route's path as its author wrote it, and as the engine's router takes it."""

import re
from dataclasses import dataclass

from megahertz.errors import BadRoute

_SEGMENT = re.compile(r"\{(\*?)([A-Za-z_]\w*)(?::(\w+))?\}")

_KINDS = ("str", "int", "float", "uuid", "path")
"""Starlette's converters; here the handler's annotation converts, and only `path` means more."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path taken apart.

    Attributes:
        text: for the engine, and equal for two that match the same paths: `/items/{1}`. The router
            allows one name a place, and routes may call it differently: so places are numbered.
        names: of its parameters, in order.
        rest: the parameter that takes what is left, and may be empty (as in Starlette), or None.
        stem: what is in front of it, or None.
    """

    text: str
    names: tuple[str, ...]
    rest: str | None = None
    stem: str | None = None


def parse(path: str) -> Pattern:
    """Takes `/items/{sku}`, `/files/{*rest}`, and Starlette's `{sku:int}` and `{rest:path}`.

    Raises:
        BadRoute: no slash at the front, a parameter that is not a whole segment or comes twice, or
            a rest that is not last.
    """
    if not path.startswith("/"):
        raise BadRoute(f"{path!r}: a path begins with a slash; write {'/' + path!r}")
    segments, names = path.split("/"), []
    for index, segment in enumerate(segments):
        if "{" not in segment and "}" not in segment:
            continue
        name, rest = _parameter(path, segment)
        if rest and index != len(segments) - 1:
            raise BadRoute(f"{path!r}: {segment} takes what is left, so nothing follows it")
        if name in names:
            raise BadRoute(f"{path!r}: {name!r} comes twice; call one of them something else")
        names.append(name)
        segments[index] = f"{{*{len(names)}}}" if rest else f"{{{len(names)}}}"
    text = "/".join(segments)
    if "{*" not in text:
        return Pattern(text, tuple(names))
    return Pattern(text, tuple(names), names[-1], text.partition("{*")[0])


def _parameter(path: str, segment: str) -> tuple[str, bool]:
    match = _SEGMENT.fullmatch(segment)
    if match is None:
        raise BadRoute(
            f"{path!r}: in {segment!r} a parameter is not a whole segment; write /{{name}}/, and "
            f"take the value apart in the handler"
        )
    star, name, kind = match.groups()
    if kind is not None and kind not in _KINDS:
        raise BadRoute(f"{path!r}: {{{name}:{kind}}}: write {{{name}}} and annotate the parameter")
    return name, bool(star) or kind == "path"
