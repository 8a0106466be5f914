"""A resource with all that is done to one: run it with `mhz run examples.inventory:app`.

Its page is at /docs, its OpenAPI document at /openapi.json.
"""

from enum import Enum
from itertools import count
from typing import Annotated
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from megahertz import App, Depends, Header, HTTPError, Policy, Query, Router


class State(Enum):
    NEW = "new"
    USED = "used"


Name = Annotated[str, Meta(min_length=1, max_length=40, description="What people call it.")]


class Draft(msgspec.Struct, forbid_unknown_fields=True):
    """An article as a client sends it."""

    name: Name
    price: Annotated[int, Meta(ge=0, le=1_000_000, description="In cents.")]
    state: State = State.NEW
    tags: Annotated[list[Annotated[str, Meta(max_length=20)]], Meta(max_length=8)] = []


class Article(Draft):
    """An article as it is kept."""

    id: UUID = msgspec.field(default_factory=uuid4)
    version: int = 1


class Page(msgspec.Struct):
    """A piece of a list; `after` of the last one asks for what follows."""

    items: list[Article]
    after: int | None = None


kept: dict[UUID, tuple[int, Article]] = {}
_places = count(1)
MOST = 10_000


def found(id: UUID) -> Article:
    if id not in kept:
        raise HTTPError(404, f"no article {id}")
    return kept[id][1]


Found = Annotated[Article, Depends(found)]
missing = {404: "There is no such article."}
articles = Router(tags=["articles"])


@articles.get("/")
async def listed(
    after: Annotated[int, Query(), Meta(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(), Meta(ge=1, le=100)] = 20,
    state: State | None = None,
) -> Page:
    """List the articles, the oldest first."""
    rest = [(place, it) for place, it in kept.values() if place > after]
    rest = [(place, it) for place, it in rest if state in (None, it.state)][: limit + 1]
    more = rest[limit - 1][0] if len(rest) > limit else None
    return Page([it for _, it in rest[:limit]], more)


@articles.post("/", status_code=201, responses={507: "There are 10,000 of them."})
async def created(draft: Draft) -> Article:
    """Take an article in."""
    if len(kept) >= MOST:
        raise HTTPError(507, "no room")
    article = msgspec.convert(msgspec.structs.asdict(draft), Article, from_attributes=True)
    kept[article.id] = next(_places), article
    return article


@articles.get("/{id}", responses=missing)
async def shown(article: Found) -> Article:
    """Show one article."""
    return article


@articles.put("/{id}", responses=missing | {409: "Somebody else has changed it since."})
async def replaced(
    article: Found, draft: Draft, if_version: Annotated[int | None, Header()] = None
) -> Article:
    """Replace an article.

    With `if-version` only the version that the client has seen is replaced.
    """
    if if_version not in (None, article.version):
        raise HTTPError(409, f"it is version {article.version} by now")
    fresh = Article(**msgspec.structs.asdict(draft), id=article.id, version=article.version + 1)
    kept[article.id] = kept[article.id][0], fresh
    return fresh


@articles.delete("/{id}", responses=missing)
async def removed(article: Found) -> None:
    """Throw an article away."""
    del kept[article.id]


app = App(
    title="inventory",
    version="1.0.0",
    description="Articles, and what is done to them.",
    policy=Policy(deadline=1.0),
)
app.include(articles, "/articles")


@app.get("/health", tags=["service"])
async def health() -> None:
    """Say whether it serves."""
