"""What gRPC and etcd report, in the tree of errors."""

from typing import Any

from megahertz.context import deadline
from megahertz.errors import (
    Compacted,
    ConnectError,
    DeadlineExceeded,
    LeaseLost,
    MegahertzError,
    Overloaded,
    ReadError,
    RemoteError,
)


def failure(where: object, error: Any) -> MegahertzError:
    """The error of one call to `where` that reached gRPC."""
    code, details = error.code().name, error.details() or ""
    said = f"etcd {where}: {details or code}"
    if is_late(error):
        if deadline() == 0:
            return DeadlineExceeded(f"etcd {where}: the deadline passed before its answer")
        return ReadError(f"etcd {where}: no answer in time; whether it was done is unknown")
    if "compacted" in details:
        return Compacted(f"{said}; read afresh")
    if "lease not found" in details:
        return LeaseLost(said)
    if code == "RESOURCE_EXHAUSTED" and "too many requests" in details:
        return Overloaded(said)
    if is_lost(error):
        return ReadError(f"{said}; whether it was done is unknown")
    return RemoteError(said)


def is_lost(error: Any) -> bool:
    """Whether another endpoint may do better."""
    return error.code().name in ("UNAVAILABLE", "CANCELLED")


def is_late(error: Any) -> bool:
    """Whether no answer came."""
    return bool(error.code().name == "DEADLINE_EXCEEDED")


def is_stale_token(error: Any) -> bool:
    """Whether to log in again: a token has run out, or users have changed since it was given."""
    details = error.details() or ""
    return "invalid auth token" in details or "revision of auth store is old" in details


def unreachable(endpoints: object, why: str) -> ConnectError:
    """None of them could be asked."""
    return ConnectError(f"etcd {endpoints}: {why}; nothing was asked")
