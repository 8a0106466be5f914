"""The four stages, each a command that anybody could type."""

import sys
from dataclasses import dataclass

_APPS = "megahertz.demo.flash_sale"


@dataclass(frozen=True, slots=True)
class Stage:
    """One way to run the shop.

    Attributes:
        name: in tables and files.
        title: what it is, in a line.
        arguments: after `python -m`; the port follows.
        patience: how many times longer its rush lasts, so that a slow shop sells out too.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    patience: int = 1

    def command(self, port: int) -> list[str]:
        """The server's command line."""
        return [sys.executable, "-m", *self.arguments, "--port", str(port)]


STAGES = (
    Stage(
        "ordinary",
        "FastAPI on uvicorn, one SQLite transaction an order",
        ("uvicorn", f"{_APPS}.ordinary:app", "--log-level", "warning", "--no-access-log"),
        patience=2,
    ),
    Stage(
        "hosted",
        "the same application under mhz run",
        ("megahertz", "run", f"{_APPS}.ordinary:app", "--log-level", "warning"),
        patience=2,
    ),
    Stage(
        "native",
        "native handlers, pre-encoded answers, write-behind",
        ("megahertz", "run", f"{_APPS}.native:app", "--log-level", "warning"),
    ),
    Stage(
        "governed",
        "the same with deadline, limits and bounds set",
        ("megahertz", "run", f"{_APPS}.governed:app", "--log-level", "warning"),
    ),
)
