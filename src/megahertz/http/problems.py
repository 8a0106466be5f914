"""Errors as RFC 9457 documents: one table, which is the tree of `megahertz.errors` itself.

    {"type": "urn:megahertz:refused.rate_limited", "title": "The caller is over its rate",
     "status": 429, "code": "refused.rate_limited", "detail": "at most 5 in 1 s"}

The text of an error is shown where it was written for the client (`_SPOKEN`); of any other the
client learns the kind, and the log has the rest. So it is of what a dependency of ours said.
"""

import logging
import math
import re
import traceback
from asyncio import CancelledError
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from megahertz.engine import Answer
from megahertz.errors import (
    BackendError,
    Conflict,
    Expired,
    HTTPError,
    Internal,
    Invalid,
    MegahertzError,
    Refused,
    RemoteProtocolError,
    tree,
)
from megahertz.http.encode import encode
from megahertz.http.response import Response

MEDIA_TYPE = "application/problem+json"

REFUSED_BY_ENGINE = (400, 404, 405, 408, 413, 414, 426, 431, 500, 501, 503, 505)
"""The statuses that the engine answers by itself (`megahertz.engine.Service.refusals`)."""

_SPOKEN = (Refused, Expired, Conflict, HTTPError, RemoteProtocolError)

log = logging.getLogger("megahertz")


def title(kind: type[MegahertzError]) -> str:
    """What the problem is called: the first clause of the class's docstring."""
    return re.split(r"[.:;]", kind.__doc__ or kind.__name__)[0].strip()


def entry(kind: type[MegahertzError]) -> dict[str, Any]:
    """The part of a kind's document that is the same each time."""
    return {
        "type": f"urn:megahertz:{kind.code}",
        "title": title(kind),
        "status": kind.status,
        "code": kind.code,
    }


TABLE = {kind: entry(kind) for kind in tree()}
"""Every error of ours; a user's own classes are looked at when they are raised."""


def problem(error: BaseException, *, debug: bool = False) -> Response:
    """The answer to a request that ended with `error`.

    Args:
        error: any; unknown ones are 500.
        debug: put the traceback of an unknown error into the answer.
    """
    if isinstance(error, MegahertzError):
        headers, document = _known(error)
    elif (status := _foreign_status(error)) is not None:
        detail = str(getattr(error, "detail", ""))
        headers, document = getattr(error, "headers", None), by_status(status, detail)
    else:
        headers, document = None, by_status(500, code=Internal.code)
        if debug:
            document["detail"] = "".join(traceback.format_exception(error))
    try:
        return Response(encode(document), document["status"], headers, MEDIA_TYPE)
    except ValueError as wrong:
        log.error("an error with a status or a header that cannot be sent: %s", wrong)
        return Response(encode(by_status(500, code=Internal.code)), 500, None, MEDIA_TYPE)


def by_status(status: int, detail: str = "", *, code: str = HTTPError.code) -> dict[str, Any]:
    """The document of a bare status (RFC 9457 section 4.2.1: about:blank)."""
    document = {"type": "about:blank", "title": _phrase(status), "status": status, "code": code}
    if detail:
        document["detail"] = detail
    return document


def refusals() -> Mapping[int, Answer]:
    """The engine's own answers."""
    return {
        status: Answer(encode(by_status(status)), status, None, MEDIA_TYPE)
        for status in REFUSED_BY_ENGINE
    }


def foreseen(error: BaseException) -> bool:
    """Whether its class says what to answer."""
    return isinstance(error, MegahertzError) or _foreign_status(error) is not None


def is_chosen(error: BaseException) -> bool:
    """Whether it was raised for the client to read, or to end the handler."""
    return (
        _is_spoken(error) or isinstance(error, CancelledError) or _foreign_status(error) is not None
    )


def _is_spoken(error: BaseException) -> bool:
    return isinstance(error, _SPOKEN) and not isinstance(error, BackendError)


def report(error: BaseException, where: str) -> None:
    """Logs what the client is not told; an answer that somebody chose is no news."""
    if not is_chosen(error):
        log.error("%s failed: %s", where, error, exc_info=error)


def _known(error: MegahertzError) -> tuple[dict[str, str] | None, dict[str, Any]]:
    if isinstance(error, HTTPError):
        document = by_status(error.status_code, error.detail, code=error.code)
        if isinstance(error, Invalid):
            document |= TABLE[Invalid] | {"status": error.status_code, "errors": error.errors}
        return error.headers, document
    kind = type(error)
    document = dict(TABLE.get(kind) or entry(kind))
    if _is_spoken(error) and str(error):
        document["detail"] = str(error)
    if error.retry_after is None:
        return None, document
    # RFC 9110 section 10.2.3: whole seconds; rounded up, as a try that comes early is refused.
    return {"retry-after": str(max(1, math.ceil(error.retry_after)))}, document


def _foreign_status(error: BaseException) -> int | None:
    """Of Starlette's and Litestar's HTTPException, known by their attributes."""
    status = getattr(error, "status_code", None)
    known = isinstance(status, int) and 400 <= status <= 599 and hasattr(error, "detail")
    return status if known else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
