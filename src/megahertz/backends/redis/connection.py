"""One link to one server: dialled, greeted, and dialled again when it is lost.

The link itself (`rust/bind/src/link.rs`) keeps the commands in order, and what may be asked again
when a connection is lost; here is when to connect, what to say first, and when to give up.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from megahertz.backends.redis.address import Address
from megahertz.backends.redis.failure import failures
from megahertz.backends.redis.options import Options
from megahertz.engine import Link, Reply, links, pause
from megahertz.errors import BackendError, MegahertzError

Words = tuple[Any, ...]
Locate = Callable[[], Awaitable[tuple[str, int]]]


def ignored(said: Any) -> None:
    """What a server says by itself to somebody who has not asked for it."""


class Connection:
    """Lives on the loop that makes it, from `open` to `close`.

    Args:
        address: the server.
        options: of its client.
        greeting: what is said behind HELLO and SELECT, on every connection anew.
        push: called with what the server says by itself.
        ready: called whenever commands can go.
        patient: no command of its own accord is late (blocking commands, subscribers).
        lost: called with why, whenever a connection that was ready is none any more.
        locate: where the server is this time, in place of `address` (Sentinel).
    """

    def __init__(
        self,
        address: Address,
        options: Options,
        *,
        greeting: Sequence[Words] = (),
        push: Callable[[Any], None] = ignored,
        ready: Callable[[], None] = lambda: None,
        lost: Callable[[str], None] = ignored,
        patient: bool = False,
        locate: Locate | None = None,
    ) -> None:
        self._locate = locate
        self._address, self._options = address, options
        self._greeting, self._ready, self._lost_hook = tuple(greeting), ready, lost
        self._tls = address.tls_config()
        self._loop = asyncio.get_running_loop()
        self._hosts: list[tuple[str, int, str]] = []
        self._dialling: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._attempts = 0
        self._greeted = self._closed = False
        self._protocol = options.protocol
        self._failures = failures(address)
        self.connected = 0
        self.link = Link(
            links(),
            error=self._failure,
            opened=self._opened,
            lost=self._lost,
            push=push,
            count=options.count,
            bytes=options.bytes,
            timeout=None if patient else options.timeout,
            encoding=options.encoding if options.decode_responses else None,
            errors=options.encoding_errors,
        )

    @property
    def protocol(self) -> int:
        """2 or 3, as agreed."""
        return self._protocol

    def open(self) -> None:
        """Begins to connect, unless that has begun."""
        if self._dialling is None and not self._closed:
            self._dial_after(0.0)

    def close(self) -> None:
        """Ends it; what waits fails."""
        self._closed = True
        self._rest()
        if self._dialling is not None:
            self._dialling.cancel()
        self.link.close()

    def _dial_after(self, seconds: float) -> None:
        self._dialling = self._loop.create_task(self._dial(seconds), name="redis connect")

    async def _dial(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)
        address, patience = self._address, self._options.connect_timeout
        late = f"no connection within {patience:g} s"
        self._patience = self._loop.call_later(patience, self._late, late)
        if address.path is not None:
            self.link.dial_unix(address.path)
            return
        try:
            if not self._hosts:
                self._hosts = await self._resolve()
        except OSError as error:
            self._lost(f"{address.host}: {error.strerror or error}")
            return
        except BackendError as error:
            self._lost(str(error))
            return
        where, port, name = self._hosts.pop(0)
        self.link.dial(where, port, self._tls, name)

    async def _resolve(self) -> list[tuple[str, int, str]]:
        """Addresses in the order in which to try them, and whose they should be."""
        host, port = self._address.host, self._address.port
        if self._locate is not None:
            host, port = await self._locate()
        try:
            return [(str(ipaddress.ip_address(host)), port, host)]
        except ValueError:
            pass
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(str(where[0]), port, host) for *_, where in found]

    def _failure(self, kind: str, why: str) -> MegahertzError:
        if kind == "reply" and self._locate is not None and why.startswith("READONLY"):
            # It is a replica by now: who is the master is asked anew.
            self._loop.call_soon(self.link.drop_connection, "the server is a replica by now")
        return self._failures(kind, why)

    def _late(self, why: str) -> None:
        """It takes too long, whatever it is doing."""
        self._patience = None
        if self._dialling is not None and not self._dialling.done():
            self._dialling.cancel()  # the name is being looked up
            self._lost(why)
        else:
            self.link.drop_connection(why)

    def _rest(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _opened(self) -> None:
        words = self._hello()
        if words:
            self.link.greet(words).add_done_callback(self._heard)
        else:
            self._welcome()

    def _hello(self) -> list[Words]:
        address, options = self._address, self._options
        user = (address.username or "default", address.password)
        words: list[Words] = []
        if self._protocol == 3:
            words.append(("HELLO", 3, *(("AUTH", *user) if address.password is not None else ())))
        elif address.password is not None:
            words.append(("AUTH", *(user if address.username else user[1:])))
        if address.db:
            words.append(("SELECT", address.db))
        if options.client_name:
            words.append(("CLIENT", "SETNAME", options.client_name))
        return [*words, *self._greeting]

    def _heard(self, reply: Reply) -> None:
        if reply.cancelled() or reply.exception() is not None:
            return  # the connection was lost meanwhile, which is told by itself
        failed = next((said for said in reply.result() if isinstance(said, Exception)), None)
        if failed is None:
            self._welcome()
            return
        if self._protocol == 3 and str(failed).startswith(("NOPROTO", "ERR unknown command")):
            self._protocol = 2
        self.link.drop_connection(str(failed))

    def _welcome(self) -> None:
        self._rest()
        self._attempts, self._greeted, self._hosts = 0, True, []
        self.connected += 1
        self.link.ready()
        self._ready()

    def _lost(self, why: str) -> None:
        self._rest()
        was, self._greeted = self._greeted, False
        if self._closed:
            return
        if self._hosts and not was:
            self._dial_after(0.0)  # the same name, another address
            return
        self._attempts += 1
        if self._attempts >= self._options.retries:
            self.link.refuse(why)
        self._dial_after(self._pause())
        if was:
            self._lost_hook(why)

    def _pause(self) -> float:
        return pause(self._attempts, self._options.backoff, self._options.longest_backoff)
