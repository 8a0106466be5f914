"""Log records as lines: JSON for machines, text for people.

What is rendered here is rendered in the thread that writes, not where it was logged.
"""

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from megahertz.engine import TraceContext
from megahertz.observe.secrets import Secrets

TAG = "x-traffic-tag"
"""The header field by which load tests and canaries mark their requests."""

LONGEST = 16 * 1024
"""Characters of a message or a value; what is longer is cut (systemd-journald cuts lines at
48 KiB, Docker at 16)."""


class Record(NamedTuple):
    """What is kept of one call of a logger.

    Attributes:
        time: seconds since 1970.
        level: in lower case.
        logger: its name.
        message: for people.
        fields: further values, by name.
        error: an exception, with its traceback.
        found: the trace of the request at hand.
        span: of OpenTelemetry, where one is recorded.
    """

    time: float
    level: str
    logger: str
    message: str
    fields: Mapping[str, Any] = {}
    error: BaseException | None = None
    found: TraceContext | None = None
    span: str | None = None


def about(record: Record, secrets: Secrets) -> dict[str, Any]:
    """The record's fields, secrets hidden; those of the request come first."""
    said: dict[str, Any] = {}
    found = record.found
    if found is not None:
        said["trace_id"] = found.trace_id
        said["span_id"] = record.span or found.span_id
        if found.route is not None and found.route.path:
            said["route"] = found.route.path
        tag = None if found.exchange is None else found.exchange.header(TAG)
        if tag is not None:
            said["tag"] = tag
    for name, value in secrets.hide(record.fields).items():
        said.setdefault(name, value)
    return said


def json_line(record: Record, secrets: Secrets) -> bytes:
    """One line of JSON; what JSON does not know is written as Python shows it."""
    whole = {
        "time": _time(record.time).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": record.level,
        "logger": record.logger,
        "message": record.message[:LONGEST],
    }
    for name, value in about(record, secrets).items():
        whole.setdefault(name, value)
    if record.error is not None:
        whole["error"] = _told(record.error)
    try:
        return msgspec.json.encode(whole, enc_hook=_shown) + b"\n"
    except Exception:  # a value that changes while it is written, or cannot be shown
        plain = {name: _encodable(_shown(value)) for name, value in whole.items()}
        return msgspec.json.encode(plain) + b"\n"


def console_line(record: Record, secrets: Secrets) -> bytes:
    """One line for people; control characters in it are shown, not sent to the terminal."""
    said = about(record, secrets)
    # For people the beginning of the id is enough to tell requests apart.
    said.pop("span_id", None)
    trace = said.pop("trace_id", None)
    pairs = [f"{name}={_plain(_shown(value))}" for name, value in said.items()]
    pairs += [f"trace={trace[:8]}"] if trace is not None else []
    time = _time(record.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
    head = f"{time} {record.level.upper():<8}{_plain(record.message[:LONGEST])}"
    line = " ".join([head, *pairs])
    if record.error is not None:
        line += "\n" + "\n".join(_plain(part) for part in _told(record.error).splitlines())
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def _shown(value: Any) -> str:
    try:
        return (value if isinstance(value, str) else repr(value))[:LONGEST]
    except Exception as error:  # a repr of a user's
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in text
    )
