"""The addresses of names: asked of the system in threads, and kept for a while.

getaddrinfo waits, and knows /etc/hosts, the search list and whatever else nsswitch names; it tells
no TTL. What it said is used for 30 s, and longer where it fails: an outage of DNS is none of a
service that was found before.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

Addresses = list[tuple[str, int]]

TTL: Final = 30.0
"""Seconds (the JVM's networkaddress.cache.ttl)."""

AGAIN: Final = 1.0
"""Seconds before a name that could not be found is asked for again, where an old answer is used."""

THREADS: Final = 4
"""Look-ups at once; a name is looked up by one of them, however many ask for it."""

MOST: Final = 1024
"""Names that are remembered (nscd's suggested-size is 211, dnsmasq's cache-size 150)."""


class Names:
    """Belongs to one loop.

    Args:
        look: asks for addresses, as `socket.getaddrinfo` does.
    """

    def __init__(self, look: Callable[..., list[Any]] | None = None) -> None:
        self._look = look or socket.getaddrinfo
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, int], tuple[float, Addresses]] = {}
        self._asked: dict[tuple[str, int], asyncio.Task[Addresses]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def known(self, host: str, port: int) -> Addresses | None:
        """Addresses in the order in which to try them; None: they have to be asked for."""
        found = self._known.get((host, port))
        if found is not None and found[0] > self._loop.time():
            return found[1]
        try:
            return [(str(ipaddress.ip_address(host)), port)]
        except ValueError:
            return None

    async def find(self, host: str, port: int) -> Addresses:
        """Asks for them, or waits with who has asked.

        Raises:
            OSError: there are none, and never were.
        """
        where = host, port
        task = self._asked.get(where)
        if task is None:
            task = self._loop.create_task(self._ask(host, port), name=f"resolve {host}")
            self._asked[where] = task
            task.add_done_callback(lambda _: self._asked.pop(where, None))
        return await asyncio.shield(task)

    async def _ask(self, host: str, port: int) -> Addresses:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "megahertz-names")
        arguments = host, port, 0, socket.SOCK_STREAM
        try:
            found = await self._loop.run_in_executor(self._threads, self._look, *arguments)
        except OSError:
            old = self._known.get((host, port))
            if old is None:
                raise
            self._known[host, port] = self._loop.time() + AGAIN, old[1]
            return old[1]
        addresses = [(str(where[0]), port) for *_, where in found]
        while len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        self._known[host, port] = self._loop.time() + TTL, addresses
        return addresses

    def close(self) -> None:
        """Nobody asks any more; a look-up that is under way ends by itself."""
        for task in self._asked.values():
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
