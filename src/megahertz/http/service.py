"""What `mhz run` and the test client are given, as a service of the engine."""

import inspect
from typing import Any, Literal, TypedDict, Unpack

from megahertz.engine import Service
from megahertz.errors import Misused
from megahertz.http.app import App
from megahertz.http.asgi import AsgiHost


class HostOptions(TypedDict, total=False):
    """How an ASGI application is hosted: see `AsgiHost`."""

    root_path: str
    lifespan: Literal["auto", "on", "off"]


def service_of(app: Any, **options: Unpack[HostOptions]) -> Service:
    """An `App` as it is, an ASGI 3 application hosted, as the options of `AsgiHost` say.

    Raises:
        Misused: neither.
    """
    if isinstance(app, App):
        return app
    if isinstance(app, AsgiHost) or _is_service(app):
        return app  # type: ignore[no-any-return]
    if callable(app) and _takes_three(app):
        return AsgiHost(app, **options)
    if callable(app) and _takes_none(app):
        raise Misused(f"{app!r} takes no argument: if it makes the application, say --factory")
    raise Misused(f"{app!r} is neither a megahertz App nor an ASGI 3 application")


def _is_service(app: Any) -> bool:
    names = ("routes", "refusals", "failed", "encode")
    return not isinstance(app, type) and all(hasattr(app, name) for name in names)


def _takes_three(app: Any) -> bool:
    """Whether `app(scope, receive, send)` can be; a native callable does not say, and may."""
    if isinstance(app, type):
        return hasattr(app, "__await__")  # Starlette's endpoints are such classes
    try:
        inspect.signature(app).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _takes_none(app: Any) -> bool:
    try:
        inspect.signature(app).bind()
    except (TypeError, ValueError):
        return False
    return True
