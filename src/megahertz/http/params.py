"""Where a handler's parameter comes from: `Annotated[str, Header("user-agent")]`.

Most parameters need no marker: a name in the pattern is a path parameter, a Struct, dataclass,
TypedDict or pydantic model is the JSON body, `Request` is the request, anything else the query.
"""

from dataclasses import dataclass
from typing import Any, ClassVar


class Missing:
    """No default: the parameter is required."""

    def __repr__(self) -> str:
        return "required"


MISSING: Any = Missing()


@dataclass(frozen=True, slots=True)
class Marker:
    """A place in the request.

    Args:
        alias: the name there, where it is not the parameter's own.
        default: what an absent one is, for `limit: int = Query(default=10)`.
    """

    alias: str | None = None
    default: Any = MISSING

    source: ClassVar[str] = ""

    def name(self, parameter: str) -> str:
        """The name in the request of the parameter called so in Python."""
        return self.alias or parameter


@dataclass(frozen=True, slots=True)
class Path(Marker):
    """A parameter of the pattern."""

    source = "path"


@dataclass(frozen=True, slots=True)
class Query(Marker):
    """A field of the query string; a list takes every field of that name."""

    source = "query"


@dataclass(frozen=True, slots=True)
class Header(Marker):
    """A header field; `user_agent` is `user-agent` unless an alias says otherwise."""

    source = "header"

    def name(self, parameter: str) -> str:
        """Lower case, with hyphens."""
        return (self.alias or parameter.replace("_", "-")).lower()


@dataclass(frozen=True, slots=True)
class Cookie(Marker):
    """A cookie."""

    source = "cookie"


@dataclass(frozen=True, slots=True)
class Body(Marker):
    """The body: JSON of the annotated type, or the bytes themselves for `bytes`."""

    source = "body"
