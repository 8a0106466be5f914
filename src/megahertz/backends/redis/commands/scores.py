"""Members with scores, as RESP2 and RESP3 have them, in the shapes that redis-py gives."""

from collections.abc import Callable
from functools import partial
from typing import Any

Cast = Callable[[Any], Any]


def scored(cast: Cast = float) -> Callable[[Any], list[tuple[Any, Any]]]:
    """Tuples of member and score; `cast` makes something else of it."""
    return partial(_tuples, float if cast is float else lambda score: cast(_number(score)))


def _tuples(cast: Cast, reply: Any) -> list[tuple[Any, Any]]:
    if not reply:
        return []
    if isinstance(reply[0], list):
        return [(member, cast(score)) for member, score in reply]
    turns = iter(reply)
    return [(member, cast(score)) for member, score in zip(turns, turns, strict=True)]


def _number(score: Any) -> int | float:
    """3 and not 3.0, so that it can be a text as Redis has it."""
    value = float(score)
    return int(value) if value.is_integer() else value


def flat(reply: Any) -> Any:
    """Member, score, member, score: what redis-py gives of ZDIFF and ZRANDMEMBER."""
    if reply and isinstance(reply[0], list):
        return [word for member, score in reply for word in (member, _shortest(score))]
    return reply


def _shortest(score: float) -> bytes:
    return repr(_number(score)).encode()


def first_of(reply: Any) -> tuple[Any, Any, float] | None:
    """Key, member and score."""
    return (reply[0], reply[1], float(reply[2])) if reply else None


def popped(reply: Any) -> Any:
    """A key, and lists of member and score as text."""
    if not reply:
        return reply
    key, members = reply
    texts = [
        [member, _shortest(score) if isinstance(score, float) else score]
        for member, score in members
    ]
    return [key, texts]


def ranked(reply: Any) -> Any:
    """A rank, or a rank and a score."""
    return [reply[0], float(reply[1])] if isinstance(reply, list) else reply


def scores(reply: Any) -> list[float | None]:
    """Of several members."""
    return [None if score is None else float(score) for score in reply]
