import threading
from contextvars import ContextVar

import pytest

from megahertz import App, HTTPError, Request, Response, Router
from megahertz.errors import BadRoute
from megahertz.testing import Client

USER: ContextVar[str] = ContextVar("user", default="nobody")


def ask(app, path="/", **options):
    with Client(app) as client:
        return client.get(path, **options)


def test_a_generator_ends_once_the_answer_is_sent():
    app, sent, seen = App(), threading.Event(), []

    @app.layer
    async def layer(request):
        answer = yield
        await app.threads.run(sent.wait)
        seen.append(answer.status_code)

    @app.get("/", status_code=201)
    async def handler() -> dict[str, int]:
        return {"a": 1}

    with Client(app) as client:
        assert client.get("/").json() == {"a": 1}
        sent.set()
    assert seen == [201]


def test_it_is_told_of_refusals_as_the_answers_they_are():
    seen = []

    async def layer(request):
        answer = yield
        seen.append(answer.status_code)

    app = App(layers=[layer])

    @app.get("/")
    async def handler() -> None:
        raise HTTPError(409, "no")

    assert ask(app).status_code == 409
    assert seen == [409]


def test_it_sees_a_bug_and_cannot_hide_it():
    seen = []

    async def layer(request):
        try:
            yield
        except ValueError as error:
            seen.append(str(error))

    app = App(layers=[layer])

    @app.get("/")
    async def handler() -> None:
        raise ValueError("a bug")

    assert ask(app).status_code == 500
    assert seen == ["a bug"]


def test_it_may_refuse_and_those_in_front_of_it_see_the_answer():
    def outer(next):
        async def layered(request):
            response = await next(request)
            response.headers["x-outer"] = "1"
            return response

        return layered

    async def inner(request):
        raise HTTPError(401, "who?")
        yield

    app = App(layers=[outer, inner])
    app.get("/")(lambda: "never")

    reply = ask(app)

    assert (reply.status_code, reply.headers["x-outer"]) == (401, "1")


def test_a_function_that_refuses_is_an_answer_to_those_in_front_too():
    def outer(next):
        async def layered(request):
            response = await next(request)
            response.headers["x-outer"] = "1"
            return response

        return layered

    def inner(next):
        async def layered(request):
            raise HTTPError(401, "who?")

        return layered

    app = App(layers=[outer, inner])
    app.get("/")(lambda: "never")

    assert ask(app).headers["x-outer"] == "1"


def test_what_a_waiting_exception_handler_answers_passes_the_layers():
    def outer(next):
        async def layered(request):
            response = await next(request)
            response.headers["x-outer"] = "1"
            return response

        return layered

    app = App(layers=[outer])

    @app.exception_handler(ValueError)
    async def answer(request, error):
        return Response(str(error), 418)

    @app.get("/")
    async def handler() -> None:
        raise ValueError("teapot")

    reply = ask(app)

    assert (reply.status_code, reply.text, reply.headers["x-outer"]) == (418, "teapot", "1")


def test_a_context_variable_set_before_the_yield_is_the_handlers():
    async def layer(request):
        token = USER.set(request.headers["x-user"])
        yield
        USER.reset(token)

    app = App(layers=[layer])

    @app.get("/")
    async def handler() -> str:
        return USER.get()

    with Client(app) as client:
        assert client.get("/", headers={"x-user": "ann"}).text == "ann"
        assert client.get("/", headers={"x-user": "bob"}).text == "bob"


class Counting:
    """A layer that lives as long as the application."""

    def __init__(self):
        self.opened = self.closed = self.begun = self.ended = 0

    async def __aenter__(self):
        self.opened += 1

    async def __aexit__(self, *exc):
        self.closed += 1

    async def __call__(self, request: Request):
        assert self.opened > self.closed
        self.begun += 1
        yield
        self.ended += 1


def test_an_object_opens_and_closes_with_the_application():
    layer = Counting()
    app, part = App(layers=[layer]), Router(layers=[layer])
    app.include(part, "/part")
    part.get("/")(lambda: "ok")

    with Client(app) as client:
        assert layer.opened == 1
        client.get("/part/")
        client.get("/part/")

    assert (layer.closed, layer.begun, layer.ended) == (1, 4, 4)


@pytest.mark.parametrize(
    ("yields", "told"), [(0, "without a yield"), (2, "more than once")], ids=["none", "two"]
)
def test_a_generator_has_one_yield(yields, told, caplog):
    async def layer(request):
        for _ in range(yields):
            yield

    app = App(layers=[layer])
    app.get("/")(lambda: "ok")

    ask(app)

    assert told in caplog.text


async def coroutine(request): ...


def generator(request):
    yield


@pytest.mark.parametrize(
    "layer", [coroutine, generator, Counting, 7], ids=["coroutine", "generator", "class", "int"]
)
def test_what_is_no_layer_is_refused_where_it_is_written(layer):
    with pytest.raises(BadRoute, match="layer"):
        App(layers=[layer])
    with pytest.raises(BadRoute, match="layer"):
        App().layer(layer)


def test_an_error_after_the_answer_is_logged(caplog):
    async def layer(request):
        yield
        raise ValueError("too late")

    app = App(layers=[layer])
    app.get("/")(lambda: "ok")

    assert ask(app).text == "ok"
    assert "too late" in caplog.text


def test_an_end_that_raises_does_not_spare_the_others():
    seen = []

    async def outer(request):
        try:
            yield
        except KeyError as error:
            seen.append(error.__context__)
            raise

    async def inner(request):
        try:
            yield
        finally:
            raise KeyError("end")

    app = App(layers=[outer, inner])

    @app.get("/")
    async def handler() -> None:
        raise ValueError("first")

    assert ask(app).status_code == 500
    assert [type(error) for error in seen] == [ValueError]
