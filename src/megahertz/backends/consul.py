"""A thin client of Consul's HTTP API, over the engine's pool: the health of a service, and an
agent's own services.

The documented contract (Consul's HTTP API, "Blocking Queries", "Health" and "Agent"); the agent
itself is not in the tests of this project, a small server of that contract is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from megahertz.engine import ClientAnswer, ClientTlsConfig, Origin, Pool
from megahertz.errors import BadSettings, RemoteError


class Node(msgspec.Struct, frozen=True, rename="pascal"):
    """A machine."""

    address: str = ""


class Service(msgspec.Struct, frozen=True, rename="pascal"):
    """An instance as it was registered.

    Attributes:
        id: unique on its agent.
        address: empty: its node's.
        port: of TCP.
        meta: whatever else was told.
        tags: the same.
    """

    id: str = msgspec.field(name="ID", default="")
    address: str = ""
    port: int = 0
    meta: Mapping[str, str] | None = None
    tags: Sequence[str] | None = None


class Check(msgspec.Struct, frozen=True, rename="pascal"):
    """A check of an instance or its node.

    Attributes:
        status: "passing", "warning" or "critical"; maintenance is critical.
        output: what it said last.
    """

    status: str = ""
    output: str = ""


class Health(msgspec.Struct, frozen=True, rename="pascal"):
    """An instance with all that checks say of it."""

    node: Node
    service: Service
    checks: Sequence[Check] = ()

    @property
    def status(self) -> str:
        """The worst of its checks; without any it is passing."""
        found = {check.status for check in self.checks}
        return next((it for it in ("critical", "warning") if it in found), "passing")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a query found.

    Attributes:
        index: to wait with for what comes next; 0: do not wait.
        instances: of the service, whatever their health.
    """

    index: int
    instances: Sequence[Health]


class Consul:
    """An agent, seen from one loop.

        async with Consul("http://127.0.0.1:8500") as consul:
            seen = await consul.health("orders")
            seen = await consul.health("orders", index=seen.index, wait=60.0)

    All calls raise `ConnectError` where it cannot be reached, `ReadError` where its answer is cut
    off, `DeadlineExceeded` where none came in time and `RemoteError` where it refuses.

    Args:
        url: `http://host:port` or `https://host:port`.
        token: of its access control.
        datacenter: of queries; None: the agent's own.
        timeout: seconds for a call, beside what it may wait.
        ca_certs: PEM file to trust with `https`; None: what the system trusts.

    Raises:
        BadSettings: another URL, or a file that cannot be read.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8500",
        *,
        token: str | None = None,
        datacenter: str | None = None,
        timeout: float = 10.0,
        ca_certs: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadSettings(f"{url}: http://host:port or https://host:port expected")
        self._origin = Origin(parts.scheme, parts.hostname, parts.port or 8500)  # type: ignore[arg-type]
        self._headers = [] if token is None else [("x-consul-token", token)]
        self._datacenter, self._timeout = datacenter, timeout
        self._tls = None if ca_certs is None else _trusting(ca_certs)
        self._pool: Pool | None = None

    def __str__(self) -> str:
        return f"consul {self._origin.authority}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends its connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def health(self, service: str, *, index: int = 0, wait: float = 0.0) -> Seen:
        """All instances of a service.

        Args:
            service: its name.
            index: of the query before; answers once something has changed since, or `wait` is over.
            wait: seconds, at most 600; Consul adds up to a sixteenth of it at random.
        """
        query: dict[str, Any] = {}
        if index:
            query = {"index": index, "wait": f"{round(wait * 1000)}ms"}
        if self._datacenter is not None:
            query["dc"] = self._datacenter
        target = f"/v1/health/service/{quote(service, safe='')}?{urlencode(query)}"
        said = await self._ask("GET", target, seconds=self._timeout + wait * 17 / 16)
        try:
            found = msgspec.json.decode(said.body, type=list[Health])
            return Seen(_next(index, said.header("x-consul-index")), found)
        except (msgspec.MsgspecError, ValueError) as error:
            raise RemoteError(f"{self}: {target}: an answer that is none: {error}") from error

    async def register(self, definition: Mapping[str, Any]) -> None:
        """Registers a service at this agent, in place of one with its ID and that one's checks.

        Args:
            definition: as Consul documents it: `{"ID": ..., "Name": ..., "Check": {...}}`.
        """
        target = "/v1/agent/service/register?replace-existing-checks=true"
        await self._ask("PUT", target, msgspec.json.encode(definition))

    async def deregister(self, service_id: str) -> None:
        """Takes a service, with its checks, from this agent."""
        target = f"/v1/agent/service/deregister/{quote(service_id, safe='')}"
        await self._ask("PUT", target, missing=True)

    async def update(self, check_id: str, status: str, output: str = "") -> bool:
        """Tells the state of a check of the kind TTL; False: the agent has no such check."""
        target = f"/v1/agent/check/update/{quote(check_id, safe='')}"
        body = msgspec.json.encode({"Status": status, "Output": output})
        said = await self._ask("PUT", target, body, missing=True)
        return said.status != 404

    async def knows(self, service_id: str) -> bool:
        """Whether the agent has this service."""
        target = f"/v1/agent/service/{quote(service_id, safe='')}"
        return (await self._ask("GET", target, missing=True)).status != 404

    async def _ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        seconds: float | None = None,
        missing: bool = False,
    ) -> ClientAnswer:
        pool = self._pool = self._pool or Pool(tls=self._tls)
        patience = self._timeout if seconds is None else seconds
        said = await pool.send(self._origin, method, target, self._headers, body, timeout=patience)
        if said.status == 200 or (missing and said.status == 404):
            return said
        words = said.body[:200].decode("utf-8", "replace").strip() or said.reason
        raise RemoteError(f"{self}: {method} {target.split('?')[0]}: {said.status} {words}")


def _next(before: int, told: str | None) -> int:
    """The index to wait with: one that goes back is started anew, and none is below 1 (Consul's
    documentation, "Blocking Queries", implementation details)."""
    index = max(1, int(told or 0))
    return 0 if index < before else index


def _trusting(path: str) -> ClientTlsConfig:
    try:
        return ClientTlsConfig(Path(path).read_bytes())
    except OSError as error:
        raise BadSettings(f"consul TLS: {path}: {error.strerror}") from error
    except ValueError as error:
        raise BadSettings(f"consul TLS: {path}: {error}") from error
