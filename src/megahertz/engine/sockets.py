"""Listening sockets, alone or shared by the workers of one port."""

import contextlib
import errno
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from megahertz.errors import BadSettings

UNIX = "unix:"

BACKLOG = 65_535
"""Connections that may wait to be accepted (listen(2) takes an int; the kernel keeps 16 bits in
struct sock before 5.4). nginx asks for 511, Go for somaxconn; a flash sale opens thousands."""


NOT_SENT = 128 * 1024
"""Bytes that the kernel takes beyond what a client has room for (tcp(7), TCP_NOTSENT_LOWAT; HAProxy
and H2O set it as well). Without, it keeps up to 4 MiB for each client that does not read, and 2,000
of those took all memory that TCP may have: nobody else got an answer (`benchmarks.slow`)."""

_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Sockets bound to every address of `host`, not listening yet.

    Args:
        host: a name or an address, IPv6 without brackets; or `unix:/run/shop.sock`.
        port: 0 is any that is free, the same one on each address.
        shared: others may bind it too and share its connections (SO_REUSEPORT, socket(7)).

    Raises:
        BadSettings: the address is taken, forbidden or not ours.
    """
    if host.startswith(UNIX):
        return [_unix(Path(host.removeprefix(UNIX)))]
    found: list[socket.socket] = []
    try:
        for family, address in _resolve(host, port):
            chosen = found[0].getsockname()[1] if found else port
            found.append(_bound(family, (address[0], chosen, *address[2:]), shared))
    except OSError as error:
        for sock in found:
            sock.close()
        raise BadSettings(f"{url(host, port)}: {_advice(error, port)}") from error
    return found


def places(host: str, port: int, count: int) -> list[list[socket.socket]]:
    """Sockets for so many workers of one port, not listening yet.

    Each has its own by SO_REUSEPORT; a unix socket is one for all. That nobody else serves there is
    asked first, since SO_REUSEPORT would quietly share with another server of the same user.

    Raises:
        BadSettings: as `bind`.
    """
    alone = bind(host, port)
    if host.startswith(UNIX):
        return [alone] * count
    chosen = alone[0].getsockname()[1]
    for sock in alone:
        sock.close()
    return [bind(host, chosen, shared=True) for _ in range(count)]


def silence(sockets: Sequence[socket.socket]) -> None:
    """Stops listening, also for other processes that hold them; what queues is reset."""
    for sock in sockets:
        with contextlib.suppress(OSError):  # it is closed, or does not listen
            if sock.family == socket.AF_UNIX:
                Path(sock.getsockname()).unlink(missing_ok=True)
            sock.shutdown(socket.SHUT_RD)


def listen(sockets: list[socket.socket]) -> None:
    """Begins to queue connections, as many as the kernel allows."""
    for sock in sockets:
        sock.listen(BACKLOG)
        sock.setblocking(False)


def limit_unsent(sock: socket.socket) -> None:
    """Bounds what the kernel keeps for clients that do not read; accepted sockets inherit it."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, NOT_SENT)


def _unix(path: Path) -> socket.socket:
    """Bound to `path`; a file that a dead server left there is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and sock.connect_ex(str(path)) == errno.ECONNREFUSED:
            path.unlink()
        sock.bind(str(path))
    except OSError as error:
        sock.close()
        in_use = error.errno in (errno.EADDRINUSE, errno.EINVAL)
        why = "a server listens there already" if in_use else error.strerror
        raise BadSettings(f"unix:{path}: {why}") from error
    return sock


def queue_limit() -> int:
    """What the kernel cuts a backlog to (net.core.somaxconn); 4,096 where it does not say."""
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return 4096


def url(host: str, port: int, *, secure: bool = False) -> str:
    """How a client says it."""
    if host.startswith(UNIX):
        return host
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _resolve(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    found = socket.getaddrinfo(host or None, port, type=kind, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _bound(family: int, address: tuple[Any, ...], shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _advice(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"the port is in use; choose another with --port, or see `ss -ltnp sport = :{port}`"
    if error.errno == errno.EACCES:
        return "not allowed; ports below 1,024 need CAP_NET_BIND_SERVICE, choose a higher one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface here has that address; 0.0.0.0 is all of them"
    return str(error.strerror or error)
