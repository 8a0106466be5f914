"""`/_mhz/explain`: why requests were refused, for who has the token."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from megahertz.errors import BadSettings, HTTPError
from megahertz.govern import remembered
from megahertz.http.gates import Gates
from megahertz.http.request import Request

EXPLAIN = "/_mhz/explain"

LEAST = 16
"""Characters of a token: 80 random bits in Base32."""


def explaining(
    gates: Gates, token: str
) -> Callable[[Request, str], Awaitable[list[dict[str, Any]]]]:
    """A handler that lists the last refusals of all workers, or those of one id.

    Raises:
        BadSettings: the token is too short to be a secret.
    """
    if len(token) < LEAST:
        raise BadSettings(f"App(explain_token=...): at least {LEAST} characters")
    shown = f"Bearer {token}".encode()

    async def explain(request: Request, id: str = "") -> list[dict[str, Any]]:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), shown):
            raise HTTPError(401, headers={"www-authenticate": "Bearer"})
        return [one for one in remembered(gates.plane()) if id in ("", one["id"])]

    return explain
