"""Whether this process lives, and whether it wants traffic: two routes for orchestrators."""

from megahertz.engine.native import Answer
from megahertz.engine.service import Route

_FIELDS = {"cache-control": "no-store"}
_LIVE = Answer("live", 200, _FIELDS)
_READY = Answer("ready", 200, _FIELDS)
_DRAINING = Answer("draining", 503, _FIELDS)


class Health:
    """`PREFIX/live` is 200 while the loop turns, `PREFIX/ready` 503 once the server drains.

    The answers come from the loop of the worker that is asked; a start that is not complete does
    not listen yet, and a connection that is refused is "not ready" as well.

    Args:
        prefix: of both paths; None for no routes.

    Attributes:
        draining: set before a server stops.
    """

    def __init__(self, prefix: str | None) -> None:
        self._prefix = prefix
        self.draining = False

    @property
    def routes(self) -> list[Route]:
        """Both, in front of an application's own."""
        if self._prefix is None:
            return []
        prefix = self._prefix.rstrip("/")
        ends = {"/live": self._live, "/ready": self._ready}
        return [
            Route(methods=("GET",), pattern=prefix + path, endpoint=endpoint, bare=True)
            for path, endpoint in ends.items()
        ]

    def _live(self) -> Answer:
        return _LIVE

    def _ready(self) -> Answer:
        return _DRAINING if self.draining else _READY
