import functools

import pytest

from megahertz import App
from megahertz.errors import Misused
from megahertz.http import AsgiHost, service_of


async def asgi(scope, receive, send): ...


class Callable:
    async def __call__(self, scope, receive, send): ...


class Service:
    routes, fallback, refusals, encode, failed = (), None, {}, None, None


def factory(): ...


@pytest.mark.parametrize("app", [asgi, Callable(), functools.partial(asgi)], ids=["f", "o", "p"])
def test_an_asgi_application_is_hosted(app):
    assert isinstance(service_of(app), AsgiHost)


@pytest.mark.parametrize("app", [App(), AsgiHost(asgi), Service()], ids=["app", "host", "service"])
def test_a_service_is_taken_as_it_is(app):
    assert service_of(app) is app


@pytest.mark.parametrize(
    ("app", "told"),
    [
        (factory, "--factory"),
        (App, "--factory"),
        (Callable, "--factory"),
        (lambda scope: None, "neither"),
        (lambda environ, start_response: [], "neither"),
        ("text", "neither"),
        (dict, "neither"),
    ],
    ids=["factory", "App", "class", "asgi 2", "wsgi", "text", "native"],
)
def test_anything_else_is_refused_with_advice(app, told):
    with pytest.raises(Misused, match=told):
        service_of(app)
