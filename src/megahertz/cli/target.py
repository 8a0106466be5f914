"""`module:app` into the application, or a sentence that says why not."""

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from megahertz.engine import START_FAILED
from megahertz.errors import MegahertzError
from megahertz.http import App


class StartFailed(click.ClickException):
    """The server cannot start; exit code 3."""

    exit_code = START_FAILED


def load(target: str, *, factory: bool = False) -> Any:
    """The application that `target` names.

    Args:
        target: `package.module:attribute`; attributes may be dotted.
        factory: the attribute makes the application when it is called.

    Raises:
        StartFailed: what happened, where, and what to do.
    """
    module, _, path = target.partition(":")
    if not module or not path:
        raise StartFailed(f"{target!r} names no application: write module:app{_as_module(module)}")
    found: Any = _import(module)
    for name in path.split("."):
        if not hasattr(found, name):
            raise StartFailed(f"module {module!r} has no {path!r}{_candidates(found)}")
        found = getattr(found, name)
    return _made(found, target) if factory else found


def described(target: str, *, factory: bool = False) -> App:
    """The `App` that `target` names, its routes found to be servable.

    Raises:
        StartFailed: it is another kind of application, or a route is wrong.
    """
    app = load(target, factory=factory)
    if not isinstance(app, App):
        raise StartFailed(f"{target} is no megahertz App: an ASGI application keeps its routes")
    try:
        _ = app.routes
    except MegahertzError as error:
        raise StartFailed(str(error)) from error
    return app


def _import(name: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            where = f"looked in {here} and sys.path{_as_module(name)}"
            raise StartFailed(f"there is no module {name!r}: {where}") from error
        raise _broken(f"importing {name!r} failed") from error
    except Exception as error:
        raise _broken(f"importing {name!r} failed") from error


def _made(make: Any, target: str) -> Any:
    try:
        return make()
    except Exception as error:
        raise _broken(f"the factory {target!r} failed") from error


def _broken(what: str) -> StartFailed:
    traceback.print_exc()
    return StartFailed(f"{what}: see the traceback above")


def _as_module(name: str) -> str:
    """For those who name a file."""
    if not name.endswith(".py"):
        return ""
    return f"; for a file, {name.removesuffix('.py').strip('./').replace('/', '.')}:app"


def _candidates(found: Any) -> str:
    names = [name for name, value in vars(found).items() if isinstance(value, App)]
    return f"; it has {', '.join(sorted(names))}" if names else ""
