"""What `mhz run` and the test client are given, as a service of the engine."""

import inspect
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, Unpack

from megahertz.engine import Service
from megahertz.errors import BadSettings, Misused
from megahertz.govern import Policy
from megahertz.http.app import App
from megahertz.http.asgi import AsgiHost


class HostOptions(TypedDict, total=False):
    """How an ASGI application is hosted: see `AsgiHost`."""

    root_path: str
    lifespan: Literal["auto", "on", "off"]
    policy: Policy | Mapping[str, Policy] | None


def service_of(app: Any, **options: Unpack[HostOptions]) -> Service:
    """An `App` as it is, an ASGI 3 application hosted, as the options of `AsgiHost` say.

    Of the options only `policy` concerns an `App`: it goes before the application's own.

    Raises:
        Misused: neither.
        BadSettings: the policy is none, or by pattern for an `App`, whose routes have their own.
    """
    policy = options.get("policy")
    _check(policy)
    if isinstance(app, App):
        if isinstance(policy, Mapping):
            raise BadSettings("policies by pattern are for ASGI: give an App's routes their own")
        app.policy = app.policy if policy is None else policy.over(app.policy)
        return app
    if isinstance(app, AsgiHost) or _is_service(app):
        return app  # type: ignore[no-any-return]
    if callable(app) and _takes_three(app):
        return AsgiHost(app, **options)
    if callable(app) and _takes_none(app):
        raise Misused(f"{app!r} takes no argument: if it makes the application, say --factory")
    raise Misused(f"{app!r} is neither a megahertz App nor an ASGI 3 application")


def _check(policy: Any) -> None:
    values = list(policy.values()) if isinstance(policy, Mapping) else [policy]
    if any(not isinstance(value, Policy | None) for value in values):
        raise BadSettings(f"{policy!r} is no Policy, and no dict of patterns to policies")


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
