"""Every TCP socket with its TCP_INFO, by netlink (man 7 sock_diag): what `ss -tni` shows.

Rejected: the text of `ss`, which is not everywhere and has changed its columns; /proc/net/tcp,
which knows nothing of retransmissions.
"""

import socket
import struct
from collections.abc import Iterator

from megahertz.observe.doctor.facts import Socket, State

_DIAG, _BY_FAMILY = 4, 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_INFO = 2

_HEAD = struct.Struct("=IHHII")
_ASK = struct.Struct("=BBBBI48s")
_ATTRIBUTE = struct.Struct("=HH")

BUFFER = 1 << 20


def sockets() -> list[Socket]:
    """Of the network namespace of this process.

    Raises:
        OSError: the kernel does not answer (no CONFIG_INET_DIAG, or a filter forbids it).
    """
    found: list[Socket] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAG) as link:
            link.settimeout(10)  # it answers at once or never
            link.send(_request(family))
            while not _take(link.recv(BUFFER), found):
                pass
    return found


def _request(family: int) -> bytes:
    body = _ASK.pack(family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, 0xFFFF, bytes(48))
    return _HEAD.pack(_HEAD.size + len(body), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + body


def _take(data: bytes, into: list[Socket]) -> bool:
    """One datagram of the answer; whether it was the last."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, kind, *_ = _HEAD.unpack_from(data, at)
        if kind == _DONE:
            return True
        if kind == _ERROR:
            number = -struct.unpack_from("=i", data, at + _HEAD.size)[0]
            raise OSError(number, "sock_diag: the kernel refuses")
        into.append(read(data[at + _HEAD.size : at + length]))
        at += (length + 3) & ~3
    return False


def read(message: bytes) -> Socket:
    """One `struct inet_diag_msg` with its attributes."""
    family, state, _, _ = message[:4]
    local_port, remote_port = struct.unpack_from("!HH", message, 4)
    size = 4 if family == socket.AF_INET else 16
    addresses = [socket.inet_ntop(family, message[at : at + size]) for at in (8, 24)]
    _, received, unsent, _, inode = struct.unpack_from("=IIIII", message, 52)
    info = next((data for kind, data in _attributes(message[72:]) if kind == _INFO), b"")
    return Socket(
        state=State(state),
        local=(addresses[0], local_port),
        remote=(addresses[1], remote_port),
        received=received,
        unsent=unsent,
        inode=inode,
        sent=_number(info, 156),
        retransmitted=_number(info, 100),
        rtt=_number(info, 68) / 1e6,
        congestion=_number(info, 80),
        notsent=_number(info, 144),
    )


def _number(info: bytes, at: int) -> int:
    """Of `struct tcp_info` (include/uapi/linux/tcp.h); older kernels have less of it."""
    return int(struct.unpack_from("=I", info, at)[0]) if len(info) >= at + 4 else 0


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
