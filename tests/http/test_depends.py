import threading
from typing import Annotated, Any

import pytest

from megahertz import App, Depends, Header, HTTPError, Request, StreamingResponse
from megahertz.errors import BadRoute
from megahertz.testing import Client


def ask(handler, path="/", *, pattern="/", layers=(), **options):
    app = App(layers=layers)
    app.get(pattern)(handler)
    with Client(app) as client:
        return client.get(path, **options)


async def page(limit: int = 10, offset: int = 0) -> tuple[int, int]:
    return limit, offset


def user(request: Request, x_user: Annotated[str, Header()] = "nobody") -> str:
    request.state.thread = threading.current_thread().name
    return x_user


class Filter:
    def __init__(self, colour: str = "any"):
        self.colour = colour


def test_dependencies_have_parameters_of_their_own():
    async def handler(
        sku: int,
        page: Annotated[tuple[int, int], Depends(page)],
        user: str = Depends(user),
        filter: Filter = Depends(),  # noqa: B008
    ) -> list[Any]:
        return [sku, page, user, filter.colour]

    reply = ask(handler, "/3?limit=5&colour=red", pattern="/{sku}", headers={"x-user": "ann"})

    assert reply.json() == [3, [5, 0], "ann", "red"]


def test_a_def_dependency_runs_in_a_thread_and_shares_the_request():
    async def handler(request: Request, user: Annotated[str, Depends(user)]) -> str:
        return request.state.thread

    assert ask(handler).text.startswith("megahertz_")


def test_a_def_handler_has_dependencies_too():
    def handler(user: Annotated[str, Depends(user)]) -> str:
        return f"{user} in {threading.current_thread().name}"

    assert ask(handler).text.startswith("nobody in megahertz_")


def counted():
    calls = []

    async def count() -> int:
        calls.append(1)
        return len(calls)

    return count


def test_one_call_a_request_serves_all_who_depend_on_it():
    count = counted()

    async def left(n: Annotated[int, Depends(count)]) -> int:
        return n

    async def handler(
        left: Annotated[int, Depends(left)], right: Annotated[int, Depends(count)]
    ) -> list[int]:
        return [left, right]

    app = App()
    app.get("/")(handler)
    with Client(app) as client:
        assert client.get("/").json() == [1, 1]
        assert client.get("/").json() == [2, 2]


def test_without_the_cache_each_gets_a_call():
    count = counted()

    async def handler(
        left: Annotated[int, Depends(count)],
        right: Annotated[int, Depends(count, use_cache=False)],
    ) -> list[int]:
        return [left, right]

    assert ask(handler).json() == [1, 2]


def resources(happened):
    async def outer():
        happened.append("outer opens")
        try:
            yield "outer"
        finally:
            happened.append("outer closes")

    def inner(outer: Annotated[str, Depends(outer)]):
        happened.append("inner opens")
        try:
            yield f"{outer} inner"
        finally:
            happened.append("inner closes")

    return inner


def test_generators_are_cleaned_up_in_reverse():
    happened = []

    async def handler(value: Annotated[str, Depends(resources(happened))]) -> str:
        happened.append("handler")
        return value

    assert ask(handler).text == "outer inner"
    assert happened == [
        "outer opens",
        "inner opens",
        "handler",
        "inner closes",
        "outer closes",
    ]


def test_generators_are_cleaned_up_after_an_error_which_they_may_see():
    seen = []

    async def watching():
        try:
            yield
        except HTTPError as error:
            seen.append(error.status_code)
            raise

    async def handler(
        value: Annotated[str, Depends(resources(seen))], _: Annotated[None, Depends(watching)]
    ) -> str:
        raise HTTPError(409, "no")

    assert ask(handler).status_code == 409
    assert seen == ["outer opens", "inner opens", 409, "inner closes", "outer closes"]


def test_a_stream_is_sent_before_the_clean_up():
    happened = []

    async def handler(value: Annotated[str, Depends(resources(happened))]) -> StreamingResponse:
        async def pieces():
            happened.append("stream")
            yield value

        return StreamingResponse(pieces())

    assert ask(handler).text == "outer inner"
    assert happened[2:] == ["stream", "inner closes", "outer closes"]


def test_what_a_dependency_lacks_is_422():
    async def limit(limit: int) -> int:
        return limit

    async def handler(limit: Annotated[int, Depends(limit)]) -> int:
        return limit

    reply = ask(handler, "/?limit=x")

    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"where": "query.limit", "rule": "Expected int, got 'x'"}]


def test_layers_and_dependencies_share_the_request():
    def layer(next):
        async def layered(request):
            request.state.thread = "layer"
            return await next(request)

        return layered

    async def who(request: Request) -> str:
        return request.state.thread

    async def handler(who: Annotated[str, Depends(who)]) -> str:
        return who

    assert ask(handler, layers=[layer]).text == "layer"


def test_a_circle_is_refused():
    async def circle(value: int) -> int:
        return value

    circle.__annotations__["value"] = Annotated[int, Depends(circle)]

    async def handler(value: Annotated[int, Depends(circle)]) -> int:
        return value

    app = App()
    app.get("/")(handler)
    with pytest.raises(BadRoute, match="depends on itself"):
        _ = app.routes


def test_a_stream_that_the_annotation_hides_is_a_loud_500():
    async def handler() -> dict[str, str]:
        return StreamingResponse(iter([b"x"]))  # type: ignore[return-value]

    reply = ask(handler)

    assert reply.status_code == 500
    assert "annotate it" in reply.text
