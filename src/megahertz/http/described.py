"""What a route says of itself to people: the part of OpenAPI that no signature tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict


class Said(TypedDict, total=False):
    """What a route's decorator takes for its documentation, by FastAPI's names."""

    summary: str
    description: str
    tags: Iterable[str]
    deprecated: bool
    operation_id: str
    responses: Mapping[int, Mapping[str, Any] | str]
    include_in_schema: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The same, kept with the route.

    Attributes:
        summary: a line; else the first of the handler's docstring.
        description: Markdown; else the rest of it.
        tags: groups on the page.
        deprecated: clients should leave it.
        operation_id: for generated clients; else the route's name.
        responses: what else it may answer, by status: a sentence, or `{"description", "model"}`
            with anything else that OpenAPI has there.
        include_in_schema: whether it is in the document at all.
    """

    summary: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    deprecated: bool = False
    operation_id: str = ""
    responses: Mapping[int, Mapping[str, Any] | str] = field(default_factory=dict)
    include_in_schema: bool = True


def described(said: Said) -> Described:
    """Plain options as they are kept."""
    fields: dict[str, Any] = {**said}
    return Described(**fields | {"tags": tuple(said.get("tags", ()))})
