"""Load shedding: which requests are refused so that the others are answered in time."""

from megahertz.engine import ShedState
from megahertz.errors import BadSettings


class Shed:
    """Refuses what a worker cannot answer in time anyway, early and cheaply (503).

    The lag of the loop comes first: how long a request has waited before its handler could begin.
    When the least lag of a whole interval is above the target, a queue stands, and until it is gone
    nobody waits longer than the target (CoDel, RFC 8289). The processor comes second: at `cpu` of
    what the worker may use, and with requests that take longer than they could by more than the
    target, those in flight are bounded by Little's law over the best rate and the shortest time
    seen. While neither says so, nothing is refused.

    One object counts together wherever it is used; each worker by itself, as each has a loop.

    Args:
        lag: seconds that a request may wait while a queue stands. Four times the mean length of a
            handler's first step counts instead where that is more, up to half the interval.
        interval: seconds for which a queue must stand before anybody is refused (100 ms in RFC
            8289).
        cpu: the share of its processor time at which a worker counts as busy.
        batch: the share of a worker's time that is left to `Policy(priority="batch")` whatever
            happens; above it they are refused before anything live is.
        test: the same for requests that a load test has coloured (`X-Traffic-Tag`).

    Raises:
        BadSettings: a number that cannot be.
    """

    __slots__ = ("_told", "state")

    def __init__(
        self,
        *,
        lag: float = 0.01,
        interval: float = 0.1,
        cpu: float = 0.95,
        batch: float = 0.1,
        test: float = 0.05,
    ) -> None:
        self._told = f"Shed({lag=}, {interval=}, {cpu=}, {batch=}, {test=})"
        try:
            self.state = ShedState(lag=lag, interval=interval, cpu=cpu, shares=(1.0, batch, test))
        except ValueError as error:
            raise BadSettings(f"{self._told}: {error}") from error

    def __repr__(self) -> str:
        return self._told
