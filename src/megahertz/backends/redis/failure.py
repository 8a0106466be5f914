"""What the link's failures are called in the tree of errors."""

from collections.abc import Callable

from megahertz.errors import (
    ConnectError,
    MegahertzError,
    Overloaded,
    ReadError,
    ReplyError,
)

_KINDS: dict[str, type[MegahertzError]] = {
    "full": Overloaded,
    "unsent": ConnectError,
    "unanswered": ReadError,
    "late": ReadError,
}


def failures(where: object) -> Callable[[str, str], MegahertzError]:
    """The border of translation for one server."""

    def failure(kind: str, why: str) -> MegahertzError:
        if kind == "reply":
            return ReplyError(why)
        return _KINDS[kind](f"{where}: {why}")

    return failure
