"""Where a handler's parameter comes from: `Annotated[str, Header("user-agent")]`.

Most parameters need no marker: a name in the pattern is a path parameter, a Struct, dataclass,
TypedDict or pydantic model is the JSON body, `Request` is the request, anything else the query.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


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


Scope = Literal["function", "request", "app"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """A function whose result is a parameter; see `Depends`.

    Attributes:
        call: the function; None is the annotated type itself.
        cached: called once a request, however often it is depended on.
        scope: when what comes after its yield runs; None is "request".
    """

    call: Callable[..., Any] | None
    cached: bool = True
    scope: Scope | None = None


def Depends(
    call: Callable[..., Any] | None = None, *, use_cache: bool = True, scope: Scope | None = None
) -> Any:
    """A parameter that another function makes: `user: Annotated[User, Depends(current_user)]`.

    The function has parameters like a handler's, dependencies too. A `def` runs in a thread. What
    comes after the `yield` of a generator runs by `scope`; an error of the handler is raised at
    the `yield`, and cannot be hidden there.

    Args:
        call: the function; the annotated class where it is left out.
        use_cache: one call a request serves all who depend on it.
        scope: "request", once the answer is sent, a stream to its end; "function", once the
            handler has returned, before anything is sent; "app", when the application stops: it
            is called once, at the start, and has no parameters but others of that scope.
    """
    return Dependency(call, use_cache, scope)
