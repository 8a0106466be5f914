"""What a supervisor and its workers say to each other, over one socket pair a worker.

```text
supervisor                                      worker
  secret of TLS session tickets, first of all ──▶
                                             ◀── ready      it accepts
                                             ◀── replace    it was sent SIGTERM
  retire SECONDS   a successor accepts already ─▶
  stop             nobody accepts after it ─────▶
  keep             stop, but leave the sockets open for somebody else
  (end)            stop, however the supervisor died
```

The kernel sends the end however the supervisor dies: no orphans, and no PR_SET_PDEATHSIG (prctl(2):
that one is tied to the parent's thread, and lost by a set-uid exec). Messages are whole or not
there (SOCK_SEQPACKET, unix(7)).
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Self

COUNT = "MEGAHERTZ_WORKERS"
INDEX = "MEGAHERTZ_WORKER"
LIFELINE = "MEGAHERTZ_LIFELINE"
SOCKETS = "MEGAHERTZ_SOCKETS"
BUS = "MEGAHERTZ_BUS"

MESSAGE = 256
"""At most so many bytes; a secret has 40."""

READY, REPLACE = b"ready", b"replace"
RETIRE, STOP, KEEP = b"retire", b"stop", b"keep"


def heard(sock: socket.socket) -> bytes:
    """The next message; nothing at the end, also where the other side left some of ours unread."""
    try:
        return sock.recv(MESSAGE)
    except ConnectionResetError:
        return b""


def worker_count() -> int:
    """How many worker processes serve together; 1 outside of a supervisor."""
    return int(os.environ.get(COUNT, "1"))


class Lifeline:
    """A worker's end.

    Attributes:
        secret: of TLS session tickets. It comes this way because the environment of a process can
            be read for as long as it lives, and old secrets are to be forgotten.
        sockets: to accept from; the supervisor holds them too, so that what queues in them outlives
            a worker.
    """

    def __init__(self, descriptor: int, sockets: list[socket.socket]) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self.secret = self._socket.recv(MESSAGE)
        self.sockets = sockets

    @classmethod
    def inherited(cls) -> Self | None:
        """The one this process was started with, once; None if it is no worker."""
        descriptor = os.environ.pop(LIFELINE, None)
        if descriptor is None:
            return None
        sockets = [socket.socket(fileno=int(fd)) for fd in os.environ.pop(SOCKETS).split(",")]
        for sock in sockets:
            sock.set_inheritable(False)
        return cls(int(descriptor), sockets)

    def ready(self) -> None:
        """Tells that this worker accepts."""
        self._send(READY)

    def replace(self) -> None:
        """Asks for a successor."""
        self._send(REPLACE)

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except OSError:  # the supervisor has gone, and `watch` tells of that
            pass

    def watch(self, stop: Callable[[bool], None], retire: Callable[[float], None]) -> None:
        """Calls one of both.

        Args:
            stop: gets whether somebody else goes on with the sockets.
            retire: gets the seconds it has to finish what runs.
        """
        loop = asyncio.get_running_loop()

        def readable() -> None:
            word, _, seconds = heard(self._socket).partition(b" ")
            if word == RETIRE:
                return retire(float(seconds))
            if not word:
                loop.remove_reader(self._socket)
            stop(word == KEEP)

        self._socket.setblocking(False)
        loop.add_reader(self._socket, readable)
