"""Ranges of a representation that a client asks for (RFC 9110, 14)."""

import re

MOST = 16
"""Ranges a request; more are answered whole, which is always allowed (Apache: 200, nginx: any; the
"range header" attack of 2011 asked for 1,300)."""

_RANGE = re.compile(r"(\d{1,18})?-(\d{1,18})?")


class Unsatisfiable(Exception):
    """None of the ranges lies within: 416."""


def parse(field: str, size: int) -> list[tuple[int, int]] | None:
    """Offset and length of each range, in the order asked for; None where the field is ignored.

    Args:
        field: the value of Range.
        size: of the whole.

    Raises:
        Unsatisfiable: it is well formed and nothing of it exists.
    """
    unit, _, text = field.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    asked = [item.strip() for item in text.split(",") if item.strip()]
    matches = [_RANGE.fullmatch(item) for item in asked]
    if not asked or len(asked) > MOST:
        return None
    found = []
    for match in matches:
        if match is None or match[0] == "-":
            return None
        first, last = match.groups()
        if first is not None and last is not None and int(last) < int(first):
            return None
        if (part := _within(first, last, size)) is not None:
            found.append(part)
    if not found:
        raise Unsatisfiable
    # What overlaps would cost more than the whole (section 14.2 advises against it).
    return found if len(found) == 1 or sum(length for _, length in found) < size else None


def _within(first: str | None, last: str | None, size: int) -> tuple[int, int] | None:
    if first is None:
        length = min(int(last or 0), size)
        return (size - length, length) if length else None
    start = int(first)
    end = size if last is None else min(int(last) + 1, size)
    return (start, end - start) if start < end else None
