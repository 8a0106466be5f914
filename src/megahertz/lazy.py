"""Names of a package that are imported when somebody asks for them (PEP 562).

What a service does not use, it neither waits for at its start nor holds in each worker. The names
stand in the package's door a second time, under `TYPE_CHECKING`, where type checkers and
import-linter read them.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def door(package: str, **modules: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`.

        __getattr__, __dir__ = door(__name__, consul="Consul", redis="PubSub Redis")

    A name of `modules` itself is the module, as it is where the door imports everything. No module
    may give a name that another one has: whoever imports that one has put it in the name's place.

    Args:
        package: its `__name__`.
        modules: what each gives, with spaces between.
    """
    places = {name: module for module, names in modules.items() for name in names.split()}
    found = vars(sys.modules[package])

    def __getattr__(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found[name] = value = getattr(import_module(f"{package}.{places[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*found, *places})

    return __getattr__, __dir__
