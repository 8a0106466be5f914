"""What `megahertz.http` needs of sessions, whoever keeps them."""

import secrets
from collections.abc import Collection, Mapping
from typing import Protocol

Fields = dict[str, bytes]
"""Names, and the encodings of their values."""


def new_token() -> str:
    """256 bits that nobody guesses, for a URL or a cookie."""
    return secrets.token_urlsafe(32)


class SessionStore(Protocol):
    """Where sessions are."""

    async def load(self, token: str) -> Fields | None:
        """What a session has; None: there is none. Its time begins anew."""
        ...

    async def save(
        self, token: str, changed: Mapping[str, bytes], removed: Collection[str], *, new: bool
    ) -> bool:
        """Changes it; False where it is not `new` and was revoked meanwhile."""
        ...

    async def revoke(self, token: str) -> None:
        """Ends it everywhere."""
        ...
