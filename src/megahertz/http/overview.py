"""`/_mhz/`: a page that shows what the server does, in all of its workers, while it does it.

One file, nothing from elsewhere, fed by server-sent events. It holds no figures itself: whoever may
not see them gets an empty page, and asks for the token there.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import os
import re
from collections.abc import AsyncIterator, Callable

import msgspec

from megahertz.engine import Plane, ask_all
from megahertz.errors import BackendError, BadSettings, HTTPError, Overloaded
from megahertz.govern import ORDER, Policy, remembered
from megahertz.http.events import Event, Events
from megahertz.http.gates import Gates
from megahertz.http.looks import Looks
from megahertz.http.refused import LEAST
from megahertz.http.request import Request
from megahertz.http.response import HTMLResponse
from megahertz.http.routes import Router
from megahertz.observe import Scene, Span, Worker, kept, states

OVERVIEW = "/_mhz/"
LIVE = "/_mhz/live"
TRACE = "/_mhz/trace"

_ID = re.compile(r"[0-9a-f]{32}")

VIEWERS = 8
"""At once, as an event stream each (browsers open six connections to a host)."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Fields of a proxy: who asks it is not who asks us."""


class Overview:
    """`App(overview=Overview())`: the page at `/_mhz/`, and what `mhz top` and `mhz trace` read.

    Without a token it is for this machine: for peers of a loopback address, by the name of one, and
    without the fields of a proxy. A proxy on the same machine that sets none of them would show it
    to everybody: then give a token.

    Args:
        token: who shows it (`Authorization: Bearer`) sees the figures, from anywhere.
        viewers: at once; above, 503.

    Raises:
        BadSettings: the token is too short to be a secret, or there may be no viewer.
    """

    def __init__(self, *, token: str | None = None, viewers: int = VIEWERS) -> None:
        if token is not None and len(token) < LEAST:
            raise BadSettings(f"Overview(token=...): at least {LEAST} characters")
        if viewers < 1:
            raise BadSettings(f"Overview(viewers={viewers}): at least 1")
        self._shown = None if token is None else f"Bearer {token}".encode()
        self._viewers = viewers
        self._worker: Worker | None = None

    async def __aenter__(self) -> "Overview":
        self._worker = Worker(asyncio.get_running_loop()).open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._worker is not None:
            self._worker.close()

    def add_to(self, router: Router, title: str, gates: Gates) -> None:
        """Declares its routes.

        Args:
            router: the application.
            title: for people.
            gates: whose plane is looked at.
        """
        html = _page(title, guarded=self._shown is not None)
        looks = Looks(lambda: self._look(gates))

        async def overview(request: Request) -> HTMLResponse:
            if self._shown is None:
                _check_local(request)
            return html

        async def live(request: Request) -> Events:
            self._check(request)
            if looks.viewers >= self._viewers:
                raise Overloaded(f"{self._viewers} look already", retry_after=10.0)
            return Events(_events(looks))

        async def trace(request: Request, id: str) -> list[Span]:
            self._check(request)
            if _ID.fullmatch(id) is None:
                raise HTTPError(422, "id: 32 hex digits")
            return await asyncio.to_thread(_recorded, gates.plane(), id)

        for path, handler in ((OVERVIEW, overview), (LIVE, live), (TRACE, trace)):
            router.get(path, policy=Policy.off(), include_in_schema=False)(handler)

    def _look(self, gates: Gates) -> Callable[[], bytes]:
        # The server's own, under `mhz run`, knows more than ours.
        found = scene(gates.plane(), Worker.active or self._worker)
        encoder = msgspec.json.Encoder()
        return lambda: encoder.encode(found.look())

    def _check(self, request: Request) -> None:
        if self._shown is None:
            return _check_local(request)
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._shown):
            raise HTTPError(401, headers={"www-authenticate": "Bearer"})
        return None


async def _events(looks: Looks) -> AsyncIterator[Event]:
    async with looks.followed() as pictures:
        async for picture in pictures:
            yield Event(picture.decode())


def _check_local(request: Request) -> None:
    """Of this machine, and not by way of a page that has a name of its own point to us (DNS
    rebinding), nor by a proxy."""
    peer, host = request.client, request.url.hostname or ""
    named = host == "localhost" or host.endswith(".localhost") or _is_loopback(host)
    proxied = any(name in request.headers for name in FORWARDED)
    if peer is None or not _is_loopback(peer.host) or not named or proxied:
        raise HTTPError(403, "from this machine only: App(overview=Overview(token=...)) opens it")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def scene(plane: Plane, own: Worker | None = None) -> Scene:
    """Looks at the server of a plane; `own` is this process's worker, if it has one."""
    return Scene(plane, rules=ORDER, refusals=remembered, states=lambda pids: states(pids, own))


def _recorded(plane: Plane, trace: str) -> list[Span]:
    """What all workers have kept of a trace."""
    others = [pid for _, pid, _ in plane.owners() if pid != os.getpid()]
    spans = kept(trace)
    for answer in ask_all(others, "trace", timeout=1.0, id=trace).values():
        if not isinstance(answer, BackendError):
            spans += msgspec.json.decode(answer, type=list[Span])
    return spans


def _page(title: str, *, guarded: bool) -> HTMLResponse:
    from html import escape
    from importlib.resources import files  # most services show no page

    text = files(__package__).joinpath("overview.html").read_text("utf-8")
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; "
        f"script-src {_hash(text, 'script')}; style-src {_hash(text, 'style')}"
    )
    text = text.replace("[title]", escape(title)).replace("[guarded]", str(guarded).lower())
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }
    return HTMLResponse(text, headers=headers)


def _hash(text: str, tag: str) -> str:
    """What the one element of that name holds, as a source of the policy (CSP3 section 2.3.1)."""
    inner = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    digest = hashlib.sha256(inner.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
