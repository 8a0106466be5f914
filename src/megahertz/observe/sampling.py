"""Which log records are kept: by their level, their trace, and who asked.

Theory: an ordinary request has little to say. Of all requests a share is kept whole, by the trace
id: every record of a request is kept or none of its level, here and in every other service, and a
request whose INFO is kept has its WARNING as well. What is no request's (start, stop, a
background job) is kept.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from megahertz.engine import TraceContext
from megahertz.errors import BadSettings

_NUMBERS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Shares of requests whose records are kept; a new one is in force for the next record.

    Attributes:
        level: nothing below it is kept, but for `debug_for`.
        warning: share of requests whose warnings are kept (the reports: 5 %).
        info: the same (the reports: 0.1 %); the access log's records of good answers are INFO.
        debug: the same, where the level lets it.
        debug_for: clients of which everything is kept: `10.0.0.7`, `2001:db8::/32`.
        loud: follows from these: at INFO nothing is kept of a trace whose `share` is not below it.

    Errors are always kept.
    """

    level: str = "info"
    warning: float = 0.05
    info: float = 0.001
    debug: float = 1.0
    debug_for: tuple[str, ...] = ()
    _least: int = field(init=False, repr=False, compare=False)
    loud: float = field(init=False, repr=False, compare=False)
    _networks: tuple[IPv4Network | IPv6Network, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.level not in _NUMBERS:
            raise BadSettings(f"Sampling(level={self.level!r}): one of {', '.join(_NUMBERS)}")
        shares = (self.debug, self.info, self.warning)
        if not all(0 <= share <= 1 for share in shares):
            raise BadSettings(f"{self!r}: shares are from 0 to 1")
        put = object.__setattr__
        put(self, "_least", _NUMBERS[self.level])
        put(self, "_networks", tuple(_networks(self.debug_for)))
        kept = self.info if self._least <= logging.INFO else 0.0
        put(self, "loud", 1.0 if self._networks else kept)

    @classmethod
    def everything(cls, level: str = "info") -> "Sampling":
        """Of the level and above, all records: for development."""
        return cls(level=level, warning=1.0, info=1.0)

    @property
    def least(self) -> int:
        """The number of the lowest level that may be kept."""
        return min(self._least, logging.DEBUG) if self._networks else self._least

    def takes(self, number: int, found: TraceContext | None) -> bool:
        """Whether a record of a level's number is kept.

        Args:
            number: of `logging`: 10, 20, 30, 40, 50.
            found: the trace of the request at hand; None outside of one.
        """
        if number >= logging.ERROR:
            return number >= self._least
        if number >= self._least:
            if found is None:
                return True
            share = self.warning if number >= 30 else self.info if number >= 20 else self.debug
            if found.share < share:
                return True
        return bool(self._networks) and found is not None and self._is_listed(found.exchange)

    def _is_listed(self, exchange: Any) -> bool:
        peer = None if exchange is None else exchange.peer
        if peer is None:
            return False
        try:
            address = ip_address(peer[0])
        except ValueError:  # a unix socket, or a test client's name
            return False
        return any(address in network for network in self._networks)


def _networks(listed: Iterable[str]) -> Iterable[IPv4Network | IPv6Network]:
    for item in listed:
        try:
            yield ip_network(item)
        except ValueError as error:
            raise BadSettings(f"Sampling(debug_for=[{item!r}]): {error}") from error
