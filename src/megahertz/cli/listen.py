"""Where a server listens: an address of its own, or what systemd hands over."""

import logging
import socket

import click

from megahertz.engine import BACKLOG, activated, bind, places, queue_limit, url

log = logging.getLogger("megahertz")

SYSTEMD = "systemd:"


class Listen:
    """The sockets of one server.

    Args:
        host: an address, `unix:PATH`, or `systemd:NAME`.
        port: 0 is any that is free.

    Attributes:
        lent: they are systemd's, who goes on with them.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        name = host.removeprefix(SYSTEMD) if host.startswith(SYSTEMD) else None
        self._given = activated(name)
        self.lent = bool(self._given)

    def alone(self) -> list[socket.socket]:
        """For one process.

        Raises:
            BadSettings: the address cannot be had.
        """
        return self._noted(self._given or bind(self._host, self._port))

    def each(self, count: int) -> list[list[socket.socket]]:
        """For so many workers: one each, but for those that cannot be had more than once.

        Raises:
            BadSettings: the address cannot be had.
        """
        if self._given:
            return [self._noted(self._given)] * count
        found = places(self._host, self._port, count)
        self._noted(found[0])
        return found

    def _noted(self, sockets: list[socket.socket]) -> list[socket.socket]:
        self._names = [_name(sock) for sock in sockets]
        return sockets

    def announce(self, how: str, *, secure: bool = False) -> None:
        """Says where, once it is true."""
        if queue_limit() < BACKLOG:
            log.info("net.core.somaxconn cuts the backlog of %d to %d", BACKLOG, queue_limit())
        hosts = self._names if self.lent else [(self._host, self._names[0][1])]
        where = " and ".join(url(host, port, secure=secure) for host, port in hosts)
        click.echo(f"megahertz serves {where} ({how}); Ctrl-C stops it")


def _name(sock: socket.socket) -> tuple[str, int]:
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}", 0
    host, port = sock.getsockname()[:2]
    return host, port
