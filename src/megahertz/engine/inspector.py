"""A process's ear for who looks at it while it runs: `mhz top`, `mhz profile`, the overview.

Theory: the moment at which somebody looks is often the one at which the loop does not turn. So a
thread listens, and whatever it is asked is answered in a thread; it sleeps in accept(2) until then.
The address is the process id, among the abstract names of unix(7), as that of `control.py`, and as
there anybody may connect, so that both sides ask the kernel who the other is (SO_PEERCRED).

A question is one line of JSON, the answer whatever comes until the end.
"""

import logging
import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from megahertz.engine.control import who
from megahertz.errors import BackendError

log = logging.getLogger("megahertz")

QUESTION = 4096
"""Bytes of a question (a pipe's atomic write: 4,096)."""

ANSWER = 256 * 1024 * 1024
"""Bytes of an answer; a recording is bounded by what it may hold (20,000 stacks, 50,000 slices)."""

TALKS = 8
"""Questions at once (memory of a thread each); above, who asks is told so."""

PATIENCE = 5.0
"""Seconds for a peer to say its question, and to read the answer."""

AGAIN = 1.0
"""Seconds until it listens again where there were no more files."""


def _address(pid: int) -> str:
    return f"\0megahertz/{pid}/inspector"


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks.

    Attributes:
        what: by its name.
        given: its values.
        gone: whether who asks has left meanwhile.
    """

    what: str
    given: dict[str, Any]
    gone: Callable[[], bool]


Answers = Mapping[str, Callable[[Question], Any]]
"""What answers each question, in a thread: plain data, or bytes of JSON."""


class Inspector:
    """Listens while it is open.

    Args:
        answers: by the question's name; a `BackendError` or a `ValueError` is told to who asks.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._talks = threading.BoundedSemaphore(TALKS)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(_address(os.getpid()))
        except OSError:
            # Containers of a pod share abstract names, and each has a process 1.
            log.info("mhz top and mhz profile cannot look into this process: its name is taken")
            listening.close()
            return self
        listening.listen()
        self._socket = listening
        self._thread = threading.Thread(
            target=self._listen, args=(listening,), name="megahertz-inspector", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closed.set()
        if self._socket is not None and self._thread is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
            self._thread.join(AGAIN)  # in there it would keep the name
            self._socket.close()

    def _listen(self, listening: socket.socket) -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                if self._closed.wait(AGAIN):
                    return
                continue  # no more files: then somebody may want to look all the more
            threading.Thread(
                target=self._talk, args=(peer,), name="megahertz-inspected", daemon=True
            ).start()

    def _talk(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.settimeout(PATIENCE)
            if who(peer)[1] not in (0, os.geteuid()):
                return
            peer.sendall(self._answer(peer))

    def _answer(self, peer: socket.socket) -> bytes:
        try:
            question = _question(peer)  # else closing would reset the connection
        except (OSError, ValueError) as error:
            return _error(str(error))
        if not self._talks.acquire(blocking=False):
            return _error(f"{TALKS} others look at this process: try again")
        try:
            answer = self._answers[question.what](question)
            return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
        except KeyError as error:
            return _error(f"nobody answers {error}: is it another version of megahertz?")
        except (BackendError, ValueError, TypeError) as error:
            return _error(str(error))
        except Exception as error:
            log.exception("a question of mhz could not be answered")
            return _error(repr(error))
        finally:
            self._talks.release()


def _question(peer: socket.socket) -> Question:
    line = b""
    while not line.endswith(b"\n"):
        more = peer.recv(QUESTION)
        if not more or len(line) > QUESTION:
            raise ValueError("no question")
        line += more

    left = select.poll()
    left.register(peer, select.POLLRDHUP)

    def gone() -> bool:
        return bool(left.poll(0))

    given = msgspec.json.decode(line, type=dict[str, Any])
    return Question(str(given.pop("what", "")), given, gone)


def _error(why: str) -> bytes:
    return msgspec.json.encode({"error": why})


def ask(pid: int, what: str, *, timeout: float, **given: Any) -> bytes:
    """The answer of a process, as JSON.

    Raises:
        BackendError: there is no such process, it is somebody else's, it does not answer in
            `timeout` seconds, or what it says went wrong.
    """
    answer = ask_all([pid], what, timeout=timeout, **given)[pid]
    if isinstance(answer, BackendError):
        raise answer
    return answer


def ask_all(
    pids: Iterable[int], what: str, *, timeout: float, **given: Any
) -> dict[int, bytes | BackendError]:
    """The answers of several processes, which work on them at the same time."""
    end, line = time.monotonic() + timeout, msgspec.json.encode({"what": what, **given}) + b"\n"
    found: dict[int, bytes | BackendError] = {}
    talks: dict[int, _Talk] = {}
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for pid in pids:
            sock = _asked(pid, line)
            if isinstance(sock, BackendError):
                found[pid] = sock
                continue
            talks[pid] = _Talk(pid, stack.enter_context(sock))
            selector.register(sock, selectors.EVENT_READ, talks[pid])
        while selector.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                answer = key.data.read()
                if answer is not None:
                    found[key.data.pid] = answer
                    selector.unregister(key.fileobj)
    for pid in talks.keys() - found.keys():
        found[pid] = BackendError(f"process {pid} has not answered in time")
    return found


class _Talk:
    """An answer on its way."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self._socket = sock
        self._pieces = bytearray()

    def read(self) -> bytes | BackendError | None:
        """What has come; None while there is more to come."""
        try:
            piece = self._socket.recv(1 << 20)
        except ConnectionResetError:
            piece = b""
        except OSError as error:
            return BackendError(f"process {self.pid}: {error.strerror}")
        self._pieces += piece
        if piece and len(self._pieces) <= ANSWER:
            return None
        answer = bytes(self._pieces)
        if not answer:
            return BackendError(f"process {self.pid} is somebody else's, or has ended meanwhile")
        if answer.startswith(b'{"error":'):
            return BackendError(f"process {self.pid}: {msgspec.json.decode(answer)['error']}")
        return answer


def _asked(pid: int, line: bytes) -> socket.socket | BackendError:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE)
        sock.connect(_address(pid))
        if who(sock)[0] != pid:
            raise OSError("somebody else listens under its name")
        # Who answers no one of ours has closed already, perhaps: what it says is read, or nothing.
        with suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(line)
    except OSError as error:
        sock.close()
        return BackendError(f"process {pid} cannot be looked into: {error.strerror or error}")
    return sock
