"""A raw server that misbehaves on demand; what it saw is the oracle of the generator's counts."""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import trustme


class Asked(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Then = Literal["keep", "close", "reset", "hang"]
Behaviour = Callable[[Asked], tuple[bytes, Then]]


class Server:
    """Blocking sockets, a thread a connection, one answer at a time.

    `log` has what it was asked, in order. Threads rather than asyncio's streams: those leave a
    transport behind when they are closed within an accept.
    """

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.log: list[Asked] = []
        self.connections = 0
        self._behave = behave
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/"
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(10)
        for sock in self._open.copy():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            peer = self._tls.wrap_socket(sock, server_side=True) if self._tls else sock
            self._talk(peer)
        except OSError:  # no handshake, or the peer has gone
            sock.close()
        self._open.discard(sock)

    def _talk(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as reader, contextlib.suppress(OSError):
            while (asked := self._read(reader)) is not None:
                with self._turn:
                    self.log.append(asked)
                    data, then = self._behave(asked)
                sock.sendall(data)
                if then == "hang":
                    self._over.wait(60)
                if then == "reset":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if then != "keep":
                    break

    def _read(self, reader) -> Asked | None:
        first = reader.readline().decode("latin-1")
        if not first:
            return None
        if len(first.split(" ")) != 3:  # not of HTTP/1.1; what follows has no end to read to
            return Asked("", first, {}, b"")
        fields = itertools.takewhile(bytes.strip, iter(reader.readline, b""))
        lines = [field.decode("latin-1").strip() for field in fields]
        method, target, _ = first.split(" ")
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        return Asked(method, target, headers, reader.read(int(headers.get("content-length", 0))))


class Http2Server(Server):
    """The same over HTTP/2.

    "close" is GOAWAY, "reset" resets the stream, and GOAWAY follows the answer to `/last`.

    Args:
        streams: that a client may have at once.
    """

    def __init__(self, behave, tls=None, *, streams: int = 100) -> None:
        self._streams = streams
        self.most = 0
        super().__init__(behave, tls)

    def _talk(self, sock: socket.socket) -> None:
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._streams}
        http.local_settings = h2.settings.Settings(client=False, initial_values=limit)
        http.initiate_connection()
        asked: dict[int, list] = {}
        with sock, contextlib.suppress(OSError):
            sock.sendall(http.data_to_send())
            while data := sock.recv(65536):
                ended = []
                for event in http.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        asked[event.stream_id] = [dict(event.headers), b""]
                    if isinstance(event, h2.events.DataReceived):
                        asked[event.stream_id][1] += event.data
                        http.acknowledge_received_data(len(event.data), event.stream_id)
                    if isinstance(event, h2.events.StreamEnded):
                        ended.append(event.stream_id)
                self.most = max(self.most, len(asked))
                for stream in ended:
                    self._answer(http, stream, *asked.pop(stream))
                sock.sendall(http.data_to_send())

    def _answer(self, http, stream, fields, body) -> None:
        headers = {name.decode(): value.decode() for name, value in fields.items()}
        asked = Asked(headers[":method"], headers[":path"], headers, body)
        with self._turn:
            self.log.append(asked)
            data, then = self._behave(asked)
        if then == "close":
            http.close_connection(last_stream_id=0)
        elif then == "reset":
            http.reset_stream(stream)
        elif then == "keep":
            http.send_headers(stream, [(":status", "200"), ("content-length", str(len(data)))])
            while len(data) > http.max_outbound_frame_size:
                http.send_data(stream, data[: http.max_outbound_frame_size])
                data = data[http.max_outbound_frame_size :]
            http.send_data(stream, data, end_stream=True)
            if asked.target.endswith("/last"):
                http.close_connection()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who signs the servers' certificates."""
    return trustme.CA()


@pytest.fixture
def cacert(authority, tmp_path) -> str:
    """A file to trust it by."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture
def tls(authority) -> Callable[..., ssl.SSLContext]:
    """Makes the server's side, for names and protocols."""

    def make(*names: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*(names or ("127.0.0.1",))).configure_cert(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    return make


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], Server]]:
    servers = []

    def start(behave: Behaviour, *, kind=Server, **options) -> Server:
        servers.append(kind(behave, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
