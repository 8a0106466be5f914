import asyncio
import threading
from contextlib import contextmanager
from typing import Annotated, Any

import pytest

from megahertz import App, Depends, Header, HTTPError, Request, Router, StreamingResponse
from megahertz.errors import BadRoute
from megahertz.http import Threads
from megahertz.http.shared import held_in_threads
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


def test_the_chain_of_a_circle_is_named():
    async def first(value: int) -> int:
        return value

    async def second(value: Annotated[int, Depends(first)]) -> int:
        return value

    first.__annotations__["value"] = Annotated[int, Depends(second)]
    app = App()
    app.get("/", dependencies=[Depends(first)])(lambda: "never")

    with pytest.raises(BadRoute, match=r"first -> .*second -> .*first"):
        _ = app.routes


def ends(happened, name, **options):
    async def dependency():
        happened.append(f"{name} begins")
        try:
            yield name
        finally:
            happened.append(f"{name} ends")

    return Depends(dependency, **options)


def test_a_request_ends_after_the_answer_and_a_function_before():
    sent, happened = threading.Event(), []
    app = App()

    async def session():
        yield
        await app.threads.run(sent.wait)
        happened.append("session ends")

    @app.get("/", dependencies=[Depends(session), ends(happened, "brief", scope="function")])
    async def handler() -> StreamingResponse:
        def pieces():
            happened.append("stream")
            yield "ok"

        return StreamingResponse(pieces())

    with Client(app) as client:
        assert client.get("/").text == "ok"
        sent.set()
    assert happened == ["brief begins", "brief ends", "stream", "session ends"]


def test_what_ends_late_cannot_depend_on_what_ends_early():
    brief = ends([], "brief", scope="function")

    async def late(brief: Annotated[str, brief]):
        yield brief

    async def early(late: Annotated[str, Depends(late)]):
        yield late

    app = App()
    app.get("/", dependencies=[Depends(late)])(lambda: "never")
    with pytest.raises(BadRoute, match=r"late ends after the answer .* depends on .*dependency"):
        _ = app.routes


def test_a_dependency_sees_the_error_itself_also_behind_a_layer():
    """A session that commits at the end must not commit what a layer sees as an answer."""
    seen = []

    async def session():
        try:
            yield
        except HTTPError as error:
            seen.append(error.status_code)
            raise
        else:
            seen.append("commit")

    def layer(next):
        return next

    async def handler() -> None:
        raise HTTPError(409, "no")

    app = App(layers=[layer])
    app.get("/", dependencies=[Depends(session)])(handler)
    with Client(app) as client:
        assert client.get("/").status_code == 409
    assert seen == [409]


@pytest.mark.parametrize("scope", ["request", "function"])
def test_a_dependency_cannot_hide_the_error(scope):
    async def hiding():
        try:
            yield
        except HTTPError:
            pass

    def hiding_in_a_thread():
        try:
            yield
        except HTTPError:
            pass

    async def handler() -> None:
        raise HTTPError(409, "no")

    app = App()
    some = [Depends(hiding, scope=scope), Depends(hiding_in_a_thread, scope=scope)]
    app.get("/", dependencies=some)(handler)
    with Client(app) as client:
        assert client.get("/").status_code == 409


def test_the_dependencies_of_routers_come_first():
    happened = []

    def mark(name):
        def dependency():
            happened.append(name)

        return Depends(dependency)

    app = App(dependencies=[mark("app")])
    part = Router(dependencies=[mark("router")])

    @part.get("/", dependencies=[mark("route")])
    async def handler(_: Annotated[None, mark("parameter")]) -> str:
        return "ok"

    app.include(part, "/part")
    with Client(app) as client:
        assert client.get("/part/").text == "ok"
    assert happened == ["app", "router", "route", "parameter"]


@pytest.mark.parametrize("wrong", [user, Depends()], ids=["function", "empty"])
def test_dependencies_are_depends(wrong):
    with pytest.raises(BadRoute, match="a list of Depends"):
        App(dependencies=[wrong])


def test_something_that_cannot_be_called_is_refused():
    app = App()
    app.get("/", dependencies=[Depends("user")])(lambda: "never")
    with pytest.raises(BadRoute, match="takes a function or a class"):
        _ = app.routes


def test_overrides_take_the_place_of_dependencies_and_of_theirs():
    async def database() -> str:
        raise AssertionError("not in a test")

    async def rows(database: Annotated[str, Depends(database)]) -> str:
        return f"rows of {database}"

    app = App()

    @app.get("/")
    async def handler(rows: Annotated[str, Depends(rows)]) -> str:
        return rows

    async def fake(name: str = "memory") -> str:
        return name

    app.dependency_overrides[database] = fake
    with Client(app) as client:
        assert client.get("/").text == "rows of memory"
        assert client.get("/?name=sqlite").text == "rows of sqlite"


class Settings:
    pass


def test_an_app_scoped_dependency_is_made_at_the_start_and_ended_at_the_stop():
    happened = []

    async def settings() -> str:
        happened.append("settings")
        return "here"

    def pool(where: Annotated[str, Depends(settings)], kept: Annotated[Settings, Depends()]):
        happened.append(f"pool {where}")
        yield f"pool {where} {type(kept).__name__}"
        happened.append("pool ends")

    def plain(pool: Annotated[str, Depends(pool)]) -> str:
        return pool.upper()

    app = App()

    @app.get("/")
    async def handler(
        pool: Annotated[str, Depends(pool, scope="app")],
        plain: Annotated[str, Depends(plain, scope="app")],
    ) -> list[str]:
        return [pool, plain]

    for _ in range(2):
        happened.clear()
        with Client(app) as client:
            assert happened == ["settings", "pool here"]
            client.get("/")
            assert client.get("/").json() == ["pool here Settings", "POOL HERE SETTINGS"]
        assert happened == ["settings", "pool here", "pool ends"]


def test_an_app_scoped_dependency_has_no_request():
    async def pool(request: Request) -> None: ...

    app = App()
    app.get("/", dependencies=[Depends(pool, scope="app")])(lambda: "never")
    with pytest.raises(BadRoute, match="it may only depend on what does"):
        _ = app.routes


def test_an_app_scoped_circle_is_refused():
    async def circle(value: int) -> int:
        return value

    circle.__annotations__["value"] = Annotated[int, Depends(circle)]
    app = App()
    app.get("/", dependencies=[Depends(circle, scope="app")])(lambda: "never")
    with pytest.raises(BadRoute, match="depends on itself"):
        _ = app.routes


def test_an_object_may_be_a_dependency():
    class Checker:
        async def __call__(self, token: str = ""):
            yield token or "none"

    async def handler(token: Annotated[str, Depends(Checker())]) -> str:
        return token

    assert ask(handler, "/?token=a").text == "a"


async def test_what_a_thread_sets_up_for_a_cancelled_request_is_ended():
    """Found by the deadline of test_ends.py on a busy machine."""
    entered, go, happened = asyncio.Event(), threading.Event(), []
    loop, threads = asyncio.get_running_loop(), Threads()

    @contextmanager
    def slow():
        loop.call_soon_threadsafe(entered.set)
        go.wait()
        happened.append("begins")
        try:
            yield
        finally:
            happened.append("ends")

    async def use():
        async with held_in_threads(threads)(slow()):
            happened.append("used")

    task = asyncio.create_task(use())
    await entered.wait()
    task.cancel("client disconnected")
    go.set()
    with pytest.raises(asyncio.CancelledError, match="client disconnected"):
        await task
    assert happened == ["begins", "ends"]
    threads.close()


async def test_a_set_up_that_no_thread_has_begun_is_dropped():
    busy, threads = threading.Event(), Threads(threads=1)
    happened = []

    @contextmanager
    def never():
        happened.append("begins")
        yield

    async def use():
        async with held_in_threads(threads)(never()):
            pass

    other = asyncio.create_task(threads.run(busy.wait))
    await asyncio.sleep(0)
    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    busy.set()
    await other
    assert happened == []
    assert threads.statistics().admitted == 0
    threads.close()
