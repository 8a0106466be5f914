"""Preconditions of a request: whether the client already has what it asks for (RFC 9110, 13)."""

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

Header = Callable[[str], str | None]
"""A request's field by its name in lower case."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells two versions of a resource apart.

    Attributes:
        etag: quoted, `W/` in front of a weak one.
        modified: seconds since 1970.
    """

    etag: str
    modified: int

    @property
    def last_modified(self) -> str:
        """As a field's value."""
        return formatdate(self.modified, usegmt=True)


def evaluate(header: Header, now: Validators) -> int:
    """200 to go on, 304 or 412, for GET and HEAD (section 13.2.2)."""
    if (match := header("if-match")) is not None:
        if not _is_among(match, now.etag, weak=False):
            return 412
    elif (since := _date(header("if-unmodified-since"))) is not None and now.modified > since:
        return 412
    if (none_match := header("if-none-match")) is not None:
        return 304 if _is_among(none_match, now.etag, weak=True) else 200
    since = _date(header("if-modified-since"))
    return 304 if since is not None and now.modified <= since else 200


def may_range(header: Header, now: Validators) -> bool:
    """Whether a Range still means this version (section 13.1.5)."""
    condition = header("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return _is_among(condition, now.etag, weak=False)
    return _date(condition) == now.modified


def _is_among(field: str, etag: str, *, weak: bool) -> bool:
    """Whether the field names the tag, or any by `*` (section 8.8.3.2)."""
    if field.strip() == "*":
        return True
    if etag.startswith("W/") and not weak:
        return False
    tags = [item.strip() for item in field.split(",")]
    if weak:
        return etag.removeprefix("W/") in [item.removeprefix("W/") for item in tags]
    return etag in tags


def _date(field: str | None) -> int | None:
    """Seconds since 1970; None for what is no date, which is ignored (section 13.1.3)."""
    if field is None:
        return None
    try:
        return int(parsedate_to_datetime(field).timestamp())
    except (ValueError, OverflowError):
        return None
