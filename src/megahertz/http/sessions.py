"""Sessions: a signed cookie, and behind it what a server keeps.

Theory: the cookie holds a token and its signature, HMAC-SHA-256 under a key that only the servers
have: what nobody of us signed never reaches the store, and who reads the store cannot make a
cookie. What a browser brings is looked up, never adopted: there is no way to choose one's token.
The cookie is HttpOnly, Secure and SameSite=Lax, and by its name `__Host-` no subdomain and no
plain HTTP can set it (RFC 6265bis, section 4.1.3.2).

Rejected: sessions in the cookie itself (Starlette's): they cannot be revoked; itsdangerous: a
dependency for what `hmac` does in two lines, with SHA-1 where one forgets to say otherwise.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, Final

from megahertz.cache import SessionStore
from megahertz.engine import Answer
from megahertz.errors import BadSettings
from megahertz.http.cookies import SameSite, parse, render
from megahertz.http.cors import varying
from megahertz.http.request import Request
from megahertz.http.session import Session
from megahertz.types import Handler

MOST: Final = 65_536
"""Octets of a session; what does not fit belongs into a database."""

SHORTEST: Final = 32
"""Octets of a key, as many as its hash has (RFC 2104, section 3)."""

Key = str | bytes


class Sessions:
    """A layer, `App(layers=[Sessions(RedisSessions(remote), key)])`, for `request.session`.

    Args:
        store: where sessions are.
        keys: what cookies are signed with, at least 32 octets; of several the first signs, and all
            are believed, so that a key can be changed.
        cookie: its name; `__Host-session` where the others allow, else `session`.
        path: where the browser shows it; domain: to whom, this host alone where left out.
        secure: only over TLS; browsers count http://localhost as that.
        samesite: whether other sites' links ("lax") or forms ("none") bring it.
        max_age: seconds that the browser keeps it; until it is closed where left out.
        most: octets of a session.

    Raises:
        BadSettings: a key that is too short, or a cookie that browsers would refuse.
    """

    def __init__(
        self,
        store: SessionStore,
        keys: Key | Sequence[Key],
        *,
        cookie: str | None = None,
        path: str = "/",
        domain: str | None = None,
        secure: bool = True,
        samesite: SameSite = "lax",
        max_age: int | None = None,
        most: int = MOST,
    ) -> None:
        listed = [keys] if isinstance(keys, (str, bytes)) else list(keys)
        self._keys = [key.encode() if isinstance(key, str) else key for key in listed]
        if not self._keys or min(map(len, self._keys)) < SHORTEST:
            raise BadSettings(
                f"Sessions(): a key of at least {SHORTEST} octets: "
                'python -c "import secrets; print(secrets.token_hex(32))"'
            )
        host = secure and path == "/" and domain is None
        self.cookie = cookie or ("__Host-session" if host else "session")
        self._store, self._most, self._max_age = store, most, max_age
        self._attributes: dict[str, Any] = {
            "path": path,
            "domain": domain,
            "secure": secure,
            "httponly": True,
            "samesite": samesite,
            "expires": None,
            "partitioned": False,
        }
        try:
            self._rendered("", 0)
        except Exception as error:
            raise BadSettings(f"Sessions(): {error}") from error

    def signed(self, token: str) -> str:
        """The cookie's value."""
        return f"{token}.{self._signature(self._keys[0], token)}"

    def token(self, value: str | None) -> str | None:
        """Of a cookie's value; None: nobody of us signed it."""
        token, dot, signature = (value or "").partition(".")
        given = signature.encode("latin-1", "replace")
        if not dot or not token.isascii():
            return None
        for key in self._keys:
            if hmac.compare_digest(self._signature(key, token).encode(), given):
                return token
        return None

    def _signature(self, key: bytes, token: str) -> str:
        # With the cookie's name: what is signed for one purpose is worth nothing for another.
        octets = f"{self.cookie}\0{token}".encode()
        return urlsafe_b64encode(hmac.digest(key, octets, hashlib.sha256)).rstrip(b"=").decode()

    def _cookie(self, token: str | None) -> str:
        """The cookie of a token; without one, its end."""
        if token is None:
            return self._rendered("", 0)
        return self._rendered(self.signed(token), self._max_age)

    def _rendered(self, value: str, max_age: int | None) -> str:
        return render(self.cookie, value, max_age=max_age, **self._attributes)

    async def open(self, headers: Sequence[tuple[bytes, bytes]]) -> Session:
        """The session of a request.

        Raises:
            BackendError, Overloaded: the store is away.
        """
        token = self.token(parse(list(headers)).get(self.cookie))
        fields = None if token is None else await self._store.load(token)
        return Session() if fields is None else Session(token, fields)

    async def close(
        self, session: Session, headers: Sequence[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """Saves it; the fields of the answer, with the cookie where that is another now."""
        told = await session.save(self._store, self._most)
        fields = list(headers)
        if session.accessed or told:
            fields = varying(fields, "cookie")
        slides = self._max_age is not None and session.accessed and session.token is not None
        if told or slides:
            fields.append((b"set-cookie", self._cookie(session.token).encode("latin-1")))
        return fields

    def __call__(self, handler: Handler) -> Handler:
        """The handler behind this layer."""

        async def layered(request: Request) -> Any:
            session = await self.open(request._exchange.headers)
            request.state.session = session
            answer = await handler(request)
            if isinstance(answer, Answer):
                answer.raw_headers = await self.close(session, answer.raw_headers)
            else:  # a WebSocket, whose cookies went with its handshake
                await session.save(self._store, self._most)
            return answer

        return layered


class SessionMiddleware:
    """`Sessions` for ASGI applications: `scope["session"]`, Starlette's `request.session`.

        app = SessionMiddleware(starlette, Sessions(RedisSessions(remote), key))

    The session is saved before the answer's first octet, or the handshake's, leaves.
    """

    def __init__(self, app: Any, sessions: Sessions) -> None:
        self._app, self._sessions = app, sessions

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        session = await self._sessions.open(scope["headers"])
        scope["session"] = session

        async def sent(message: Any) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                fields = await self._sessions.close(session, message.get("headers", ()))
                message = {**message, "headers": fields}
            await send(message)

        await self._app(scope, receive, sent)
