"""What streams reply, in the shapes that redis-py gives."""

from typing import Any

from megahertz.backends.redis.commands.words import as_dict, named


def entries(reply: Any) -> list[Any]:
    """`(id, fields)` of each."""
    return [_entry(each) for each in reply or ()]


def _entry(entry: Any) -> tuple[Any, Any]:
    # An entry that was deleted after it was delivered has no fields any more.
    return (entry[0], as_dict(entry[1])) if entry else (None, None)


claimed = entries


def read(reply: Any) -> list[Any]:
    """`[stream, entries]` of each stream that has some."""
    if not reply:
        return []
    found = reply.items() if isinstance(reply, dict) else reply
    return [[name, entries(each)] for name, each in found]


def autoclaimed(reply: Any) -> list[Any]:
    """Where to go on, entries, and perhaps ids that are deleted."""
    return [reply[0], entries(reply[1]), *reply[2:]]


def waiting(reply: Any) -> dict[str, Any]:
    """XPENDING in short."""
    pending, least, most, who = reply
    consumers = [{"name": name, "pending": int(count)} for name, count in who or ()]
    return {"pending": pending, "min": least, "max": most, "consumers": consumers}


_DETAILS = ("message_id", "consumer", "time_since_delivered", "times_delivered")


def details(reply: Any) -> list[dict[str, Any]]:
    """XPENDING entry by entry."""
    return [dict(zip(_DETAILS, each, strict=True)) for each in reply]


def consumers(reply: Any) -> list[dict[str, Any]]:
    """Groups or consumers."""
    return [named(each) for each in reply]


def stream(reply: Any, full: bool) -> dict[str, Any]:
    """XINFO STREAM."""
    found = named(reply)
    if not full:
        for end in ("first-entry", "last-entry"):
            found[end] = found[end] and _entry(found[end])
        return found
    found["entries"] = dict(entries(found["entries"]))
    found["groups"] = [named(group) for group in found["groups"]]
    for group in found["groups"]:
        group["consumers"] = [named(each) for each in group["consumers"]]
    return found
