"""Every error that megahertz raises, in one tree grouped by what the caller can do about it.

    MegahertzError                  code (stable, dotted), status (HTTP hint), retryable
    ├─ Refused                      we chose not to; ask again later
    │  ├─ RateLimited
    │  ├─ Overloaded
    │  ├─ BreakerOpen
    │  └─ BulkheadFull
    ├─ Expired                      it took too long
    │  ├─ DeadlineExceeded
    │  ├─ LeaseLost
    │  └─ PoolTimeout
    ├─ Misused                      your bug, raised at start-up where possible
    │  ├─ BadRoute
    │  └─ BadSettings
    ├─ ProtocolError                a peer and we disagree about the wire
    │  ├─ LocalProtocolError
    │  └─ RemoteProtocolError
    ├─ BackendError                 something we depend on failed
    │  ├─ ConnectError
    │  ├─ ReadError
    │  ├─ WriteError
    │  └─ RemoteError
    │     ├─ AnswerTooLarge         more of it than we keep
    │     ├─ Poisoned               a record that can never be stored
    │     ├─ ReplyError             an error reply of Redis
    │     ├─ Compacted              history that etcd no longer has
    │     ├─ StatusError            an HTTP answer of 400 or more
    │     └─ BadAnswer              an answer that is not what was agreed on
    ├─ Conflict                     the state of the world is not what you thought
    │  ├─ CompareFailed
    │  ├─ SagaFailed
    │  ├─ AlreadyHeld
    │  └─ KeyReused
    ├─ HTTPError                    a handler's own answer, by status
    │  ├─ BodyRefused               the rest of a body that a handler was reading
    │  └─ Invalid                   a request that names the parameter and the rule
    ├─ WebSocketDisconnect          the other end of a WebSocket has gone
    └─ Internal                     ours; please report
       └─ JournalFailed             the disk failed: nothing more is acknowledged
          └─ JournalCorrupt         acknowledged records are damaged: a person has to decide

Attributes live on the class, so that the tables which turn errors into HTTP answers are loops
over this tree (RFC 9457 documents: `megahertz.http.problems`).
"""

from collections.abc import Iterator
from typing import Any, ClassVar


class MegahertzError(Exception):
    """The root of the tree.

    Attributes:
        code: stable, dotted, safe to match on in clients and alerts.
        status: the HTTP status that tells a client the same.
        retryable: whether the same call may succeed later, unchanged.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    retry_after: float | None = None
    """Seconds after which another try makes sense, where that is known."""


class Refused(MegahertzError):
    """We chose not to do it: nothing was done."""

    code = "refused"
    status = 503
    retryable = True

    def __init__(self, *args: object, retry_after: float | None = None) -> None:
        super().__init__(*args)
        self.retry_after = retry_after


class RateLimited(Refused):
    """The caller is over its rate."""

    code = "refused.rate_limited"
    status = 429


class Overloaded(Refused):
    """A queue or a pool of ours is full."""

    code = "refused.overloaded"


class BreakerOpen(Refused):
    """A dependency failed too often; calls to it rest."""

    code = "refused.breaker_open"


class BulkheadFull(Refused):
    """Too many calls of this kind are running."""

    code = "refused.bulkhead_full"


class Expired(MegahertzError):
    """It took too long; whether it happened is unknown."""

    code = "expired"
    status = 504
    retryable = True


class DeadlineExceeded(Expired, TimeoutError):
    """The deadline of the request passed before its answer was ready."""

    code = "expired.deadline"


class LeaseLost(Expired):
    """A lease ran out while it was being relied on."""

    code = "expired.lease"
    status = 409


class PoolTimeout(Expired):
    """No connection came free in time."""

    code = "expired.pool"
    status = 503


class Misused(MegahertzError):
    """A bug in the program that uses megahertz."""

    code = "misused"


class BadRoute(Misused):
    """A route that cannot be served: its pattern, its handler's signature, or a conflict."""

    code = "misused.route"


class BadSettings(Misused):
    """A setting out of range or in contradiction with another."""

    code = "misused.settings"


class ProtocolError(MegahertzError):
    """A peer and we disagree about the wire."""

    code = "protocol"


class LocalProtocolError(ProtocolError):
    """We were asked to send what the protocol forbids."""

    code = "protocol.local"


class RemoteProtocolError(ProtocolError):
    """A peer sent what the protocol forbids."""

    code = "protocol.remote"
    status = 400


class BackendError(MegahertzError):
    """Something we depend on failed."""

    code = "backend"
    status = 502
    retryable = True


class ConnectError(BackendError):
    """No connection: nothing was asked."""

    code = "backend.connect"
    status = 503


class ReadError(BackendError):
    """The answer did not arrive; whether it was done is unknown."""

    code = "backend.read"


class WriteError(BackendError):
    """The question did not go out whole."""

    code = "backend.write"


class RemoteError(BackendError):
    """The dependency answered, with an error of its own."""

    code = "backend.remote"
    retryable = False


class AnswerTooLarge(RemoteError):
    """An answer has more octets than its reader keeps: stream it, or allow more."""

    code = "backend.too_large"


class MalformedAnswer(RemoteError, RemoteProtocolError):
    """What a server answered is no HTTP."""

    code = "backend.malformed"


class Poisoned(RemoteError):
    """Some records of a batch can never be stored; nothing of the batch was.

    Args:
        records: why, by the record's position in the batch.
    """

    code = "backend.poisoned"

    def __init__(self, records: dict[int, str]) -> None:
        super().__init__("; ".join(f"record {at}: {why}" for at, why in records.items()))
        self.records = records


class ReplyError(RemoteError):
    """Redis answered with an error.

    Args:
        message: its words: `WRONGTYPE Operation against a key holding ...`.
    """

    code = "backend.reply"

    @property
    def kind(self) -> str:
        """The first of them, which says what it is: `WRONGTYPE`, `NOSCRIPT`, `MOVED`, `ERR`."""
        return str(self).split(" ", 1)[0]


class Compacted(RemoteError):
    """The history that was asked for is gone: read the present afresh, and go on from there.

    Attributes:
        revision: the oldest one that is still there; 0 where nobody said.
    """

    code = "backend.compacted"

    def __init__(self, message: str, revision: int = 0) -> None:
        super().__init__(message)
        self.revision = revision


class StatusError(RemoteError):
    """A service answered with a status of 400 or more: `response.raise_for_status()`.

    Args:
        message: whose answer to what.
        status_code: of the answer.
        response: the answer itself.
    """

    code = "backend.status"

    def __init__(self, message: str, *, status_code: int, response: Any = None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.response = response


class BadAnswer(RemoteError):
    """An answer that is not what was agreed on: its fields, its coding, its size, its redirects."""

    code = "backend.answer"


class Conflict(MegahertzError):
    """The state of the world is not what the caller thought."""

    code = "conflict"
    status = 409


class CompareFailed(Conflict):
    """A conditional write found another value."""

    code = "conflict.compare"


class SagaFailed(Conflict):
    """A saga ended by compensation."""

    code = "conflict.saga"


class AlreadyHeld(Conflict):
    """Somebody else holds it: a lock, a journal, a name."""

    code = "conflict.held"


class KeyReused(Conflict):
    """The same key came with other contents."""

    code = "conflict.key"


class HTTPError(MegahertzError):
    """An answer chosen by a handler: `raise HTTPError(404, "no such order")`.

    Args:
        status_code: the HTTP status, 400 to 599.
        detail: a sentence for the client.
        headers: header fields to add to the answer.
    """

    code = "http"

    def __init__(
        self, status_code: int, detail: str = "", *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail or str(status_code))
        self.status_code = status_code
        self.detail = detail
        self.headers = headers


class BodyRefused(HTTPError):
    """The rest of a request's body broke a rule while its handler was reading it.

    Args:
        status_code: 413 (larger than allowed), 408 (slower than allowed), 400 (malformed) or
            431 (trailers larger than allowed).
    """

    code = "http.body"


class Invalid(HTTPError):
    """A request that breaks a rule; each item names where, and which rule.

    Args:
        detail: a sentence for the client.
        errors: `[{"where": "query.full", "rule": "Expected bool, got 'x'"}]`.
        status_code: 422 unless the body is no JSON at all (400).
    """

    code = "http.invalid"

    def __init__(
        self, detail: str, errors: list[dict[str, str]], *, status_code: int = 422
    ) -> None:
        super().__init__(status_code, detail)
        self.errors = errors


class WebSocketDisconnect(MegahertzError):
    """The other end of a WebSocket has gone.

    Attributes:
        code: why (RFC 6455 section 7.4.1), a number as in Starlette; 1005 where the peer named
            none, 1006 where it left without a word.
        reason: the peer's, for people.
    """

    code: Any = "disconnect"  # type: ignore[misc] # of the class, as everywhere in this tree

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class Internal(MegahertzError):
    """A bug of ours; please report it."""

    code = "internal"


class PlaneUnusable(Internal):
    """The memory that workers share is full, of another version, or only looked at."""

    code = "plane_unusable"


class JournalFailed(Internal):
    """The disk under a journal failed: nothing more is acknowledged until a restart."""

    code = "internal.journal"
    status = 503


class JournalCorrupt(JournalFailed):
    """A journal's acknowledged records are damaged or missing: it does not open.

    Args:
        message: file, offset and what is wrong there.
        file: the damaged file.
        offset: of the first frame that cannot be trusted.
    """

    code = "internal.journal.corrupt"

    def __init__(self, message: str, file: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.file = file
        self.offset = offset


def tree(root: type[MegahertzError] = MegahertzError) -> Iterator[type[MegahertzError]]:
    """Every error class below `root`, each below its first parent, in the order of definition."""
    yield root
    for child in root.__subclasses__():
        if child.__module__ == __name__ and child.__bases__[0] is root:
            yield from tree(child)
