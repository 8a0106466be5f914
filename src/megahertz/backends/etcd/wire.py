"""The way to a cluster: one connection at a time, to one of several endpoints.

Rules: a call goes out only on a connection that is there, so that a failure before is known to
have done nothing. What only reads is asked again elsewhere when its connection is lost; what
writes is not, as nobody knows whether it was done. A connection over which nothing is heard is
pinged (HTTP/2), and given up when the ping is not answered: a partition looks like silence.

A channel that others still use is not closed under them; gRPC would cancel their calls, which in
asyncio looks as if they themselves had been.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from megahertz.backends.etcd.failure import (
    failure,
    is_late,
    is_lost,
    is_stale_token,
    unreachable,
)
from megahertz.backends.etcd.messages import messages
from megahertz.backends.etcd.options import Options
from megahertz.context import deadline
from megahertz.errors import BadSettings, ConnectError, MegahertzError, ReadError

MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Of one answer; etcd's own client has 2 GiB, gRPC 4 MiB. A page of 256 entries at etcd's 1.5 MiB
each would not fit, of any that people keep there it does."""

_SERVICES = {
    "Range": "KV",
    "Put": "KV",
    "DeleteRange": "KV",
    "Txn": "KV",
    "Compact": "KV",
    "Watch": "Watch",
    "LeaseGrant": "Lease",
    "LeaseRevoke": "Lease",
    "LeaseKeepAlive": "Lease",
    "Authenticate": "Auth",
}
_MESSAGES = {"DeleteRange": "Delete", "Compact": "Compaction"}


class _Line:
    """A channel to one endpoint, and how many use it."""

    def __init__(self, endpoint: str, channel: Any) -> None:
        self.endpoint, self.channel = endpoint, channel
        self.users, self.retired = 0, False

    async def ready(self, seconds: float) -> str:
        """Empty once it is connected, else why it is not."""
        try:
            async with asyncio.timeout(seconds):
                state = self.channel.get_state(try_to_connect=True)
                while state.name != "READY":
                    if state.name == "TRANSIENT_FAILURE":
                        return "refused the connection"
                    await self.channel.wait_for_state_change(state)
                    state = self.channel.get_state(try_to_connect=True)
        except TimeoutError:
            return f"no connection within {seconds:g} s"
        return ""


class Wire:
    """Lives on the loop of its first call.

    Args:
        endpoints: `host:port` or `http://...`; all of them `https://...` for TLS.
        options: how they are reached.

    Raises:
        BadSettings: no endpoint, both kinds of them, or the extra is not installed.
    """

    def __init__(self, endpoints: Sequence[str], options: Options) -> None:
        self.messages = messages()
        self.grpc = self.messages.grpc
        self.options = options
        self.secure = any(it.startswith("https://") for it in endpoints)
        if not endpoints or self.secure != all(it.startswith("https://") for it in endpoints):
            raise BadSettings(f"etcd endpoints {list(endpoints)}: at least one, all of one scheme")
        self._endpoints = [it.split("://", 1)[-1].rstrip("/") for it in endpoints]
        # Clients that start together do not all go to the first one.
        self._at = random.randrange(len(self._endpoints))
        self._line: _Line | None = None
        self._lines: set[_Line] = set()
        self.closed = False
        self._opening = asyncio.Lock()
        self._token: str | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.connected = self.calls = self.failures = 0

    def __str__(self) -> str:
        return ",".join(self._endpoints)

    async def ask(self, method: str, request: Any, *, safe: bool = False) -> Any:
        """One call, and its answer.

        Args:
            method: of etcd's API.
            request: its message.
            safe: it changes nothing, or the same when done twice: it may be asked again.

        Raises:
            ConnectError: no endpoint could be reached in time; nothing was asked.
            ReadError: the answer did not come; whether it was done is unknown.
            RemoteError: etcd refused.
        """
        loop = asyncio.get_running_loop()
        left = deadline()
        end = loop.time() + min(self.options.timeout, math.inf if left is None else left)
        fresh, attempt = False, 0
        while True:
            try:
                async with self._using(end) as line:
                    return await self._ask(line, method, request, end - loop.time())
            except self.grpc.aio.AioRpcError as error:
                again = safe and is_lost(error)
                if not fresh and is_stale_token(error):
                    fresh = again = True
                if not again or loop.time() >= end:
                    raise failure(self, error) from error
            attempt += 1
            await asyncio.sleep(min(self.options.pause(attempt), max(0, end - loop.time())))

    async def _ask(self, line: _Line, method: str, request: Any, seconds: float) -> Any:
        self.calls += 1
        name = _MESSAGES.get(method, method)
        call = line.channel.unary_unary(
            f"/etcdserverpb.{_SERVICES[method]}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=getattr(self.messages, f"{name}Response").FromString,
        )
        metadata = () if method == "Authenticate" else await self._metadata(line, seconds)
        try:
            return await call(request, timeout=max(0.001, seconds), metadata=metadata)
        except self.grpc.aio.AioRpcError as error:
            if is_late(error) and seconds >= self.options.connect_timeout:
                self._retire(line)  # a new connection may do better
            raise
        except asyncio.CancelledError:
            raise_if_closed(self)
            raise

    async def stream(self, method: str) -> "Stream":
        """A call in both directions, on a connection that is there; its member has a leader.

        Raises:
            ConnectError: no endpoint could be reached in time.
            RemoteError: the user may not log in.
        """
        line = await self._taken(asyncio.get_running_loop().time() + self.options.timeout)
        try:
            metadata = await self._metadata(line, self.options.timeout)
        except self.grpc.aio.AioRpcError as error:
            self.release(line, error)
            raise failure(self, error) from error
        except BaseException:
            self.release(line)
            raise
        self.calls += 1
        call = line.channel.stream_stream(
            f"/etcdserverpb.{_SERVICES[method]}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=getattr(self.messages, f"{method}Response").FromString,
        )(metadata=(*metadata, ("hasleader", "true")))
        return Stream(self, line, call)

    @asynccontextmanager
    async def _using(self, end: float) -> AsyncIterator[_Line]:
        line = await self._taken(end)
        try:
            yield line
        except self.grpc.aio.AioRpcError as error:
            self.release(line, error)
            raise
        except BaseException:
            self.release(line)
            raise
        self.release(line)

    async def _taken(self, end: float) -> _Line:
        """A connected one, until it is released; `end` in seconds of the loop.

        Raises:
            ConnectError: there was none until then.
        """
        line = await self._open(end)
        line.users += 1
        return line

    def release(self, line: _Line, error: Any = None, *, silent: bool = False) -> None:
        """It is no longer used; where it was lost, or is silent, others go elsewhere."""
        line.users -= 1
        if silent:
            self._retire(line)
        if error is not None:
            self.failures += 1
            if is_stale_token(error):
                self._token = None
            if is_lost(error):
                self._retire(line)
        self._close_unused(line)

    async def _open(self, end: float) -> _Line:
        why, attempt = "no time is left", 0
        if self.closed:
            raise unreachable(self, "the client was closed")
        try:
            async with asyncio.timeout_at(end), self._opening:
                while True:
                    for _ in self._endpoints:
                        line = self._line = self._line or self._dial()
                        said = await line.ready(self.options.connect_timeout)
                        if not said:
                            return line
                        why = f"{line.endpoint}: {said}"
                        self._retire(line)
                    attempt += 1
                    await asyncio.sleep(self.options.pause(attempt))
        except TimeoutError:
            raise unreachable(self, why) from None

    def _dial(self) -> _Line:
        self.connected += 1
        endpoint, options = self._endpoints[self._at], self.options
        arguments = [
            ("grpc.use_local_subchannel_pool", 1),  # or a new channel inherits the old one's pause
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", int(options.ping * 1000)),
            ("grpc.keepalive_timeout_ms", int(options.ping_timeout * 1000)),
            ("grpc.http2.ping_timeout_ms", int(options.ping_timeout * 1000)),  # or 60 s
            ("grpc.http2.max_pings_without_data", 0),
        ]
        if self.secure:
            channel = self.grpc.aio.secure_channel(endpoint, self._credentials(), arguments)
        else:
            channel = self.grpc.aio.insecure_channel(endpoint, arguments)
        line = _Line(endpoint, channel)
        self._lines.add(line)
        return line

    def _credentials(self) -> Any:
        options = self.options
        try:
            files = (options.ca_certs, options.keyfile or options.certfile, options.certfile)
            return self.grpc.ssl_channel_credentials(
                *(it and Path(it).read_bytes() for it in files)
            )
        except OSError as error:
            raise BadSettings(f"etcd TLS: {error.filename}: {error.strerror}") from error

    async def _metadata(self, line: _Line, seconds: float) -> tuple[tuple[str, str], ...]:
        if self.options.username is None:
            return ()
        if self._token is None:
            request = self.messages.AuthenticateRequest(
                name=self.options.username, password=self.options.password or ""
            )
            self._token = (await self._ask(line, "Authenticate", request, seconds)).token
        return (("token", self._token),)

    def forget_token(self) -> None:
        """The next call logs in."""
        self._token = None

    def _retire(self, line: _Line) -> None:
        """Others go to the next endpoint from now on, over a new connection."""
        if self._line is line:
            self._line = None
            self._at = (self._at + 1) % len(self._endpoints)
        line.retired = True
        self._close_unused(line)

    def _close_unused(self, line: _Line) -> None:
        if line.retired and not line.users and line in self._lines:
            self._lines.discard(line)
            task = asyncio.create_task(line.channel.close(), name="etcd close")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Ends the connections; what still waits fails, and nothing begins until `reopen`."""
        self.closed, self._line = True, None
        lines, self._lines = self._lines, set()
        await asyncio.gather(*(line.channel.close() for line in lines), *self._closing)

    def reopen(self) -> None:
        """On this loop, which may be another one."""
        self.closed, self._opening = False, asyncio.Lock()


class Stream:
    """One call in both directions; it is closed by whoever opened it, also after an error."""

    def __init__(self, wire: Wire, line: _Line, call: Any) -> None:
        self._wire, self._call = wire, call
        self._line: _Line | None = line

    async def write(self, request: Any) -> None:
        """Sends a message.

        Raises:
            ReadError: the connection is lost.
            RemoteError: etcd has ended the call.
        """
        try:
            await self._call.write(request)
        except asyncio.InvalidStateError:
            await self.read()  # it has ended, and says why
        except self._wire.grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    async def read(self) -> Any:
        """The next message; errors as of `write`. Cancelled, it ends the call."""
        try:
            found = await self._call.read()
        except self._wire.grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        except asyncio.CancelledError:
            raise_if_closed(self._wire)
            raise
        if found is self._wire.grpc.aio.EOF:
            raise ReadError(f"etcd {self._wire}: the call was ended")
        return found

    def _failed(self, error: Any) -> MegahertzError:
        line, self._line = self._line, None
        if line is not None:
            self._wire.release(line, error)
        return failure(self._wire, error)

    def close(self, *, silent: bool = False) -> None:
        """Ends the call; `silent`: as no answer came, so that others use another connection."""
        self._call.cancel()
        line, self._line = self._line, None
        if line is not None:
            self._wire.release(line, silent=silent)


def raise_if_closed(wire: Wire) -> None:
    """gRPC says "cancelled" of a call whose channel was closed; of a task that was not, an error.

    Raises:
        ConnectError: the client was closed meanwhile.
    """
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        raise ConnectError(f"etcd {wire}: the client was closed") from None
