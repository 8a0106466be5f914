"""Where a Redis is and who asks it: redis-py's URLs and arguments."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from megahertz.engine import ClientTlsConfig
from megahertz.errors import BadSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One server, one user, one database.

    Attributes:
        host: a name or an address.
        port: of TCP.
        path: of a Unix socket, in place of both.
        db: selected after connecting.
        username: of an ACL; None is the user `default`.
        password: None does not authenticate.
        tls: by rustls; the certificate has to be the host's.
        ca_certs: PEM file to trust; None: what the system trusts.
        certfile: PEM file of a chain to show, with `keyfile`.
        keyfile: PEM file of its key.
    """

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def __str__(self) -> str:
        """Without the password."""
        where = self.path if self.path is not None else f"{self.host}:{self.port}"
        return f"redis {where}"

    def tls_config(self) -> ClientTlsConfig | None:
        """What connections begin from.

        Raises:
            BadSettings: a file that cannot be read, or holds something else.
        """
        if not self.tls:
            return None
        try:
            trusted = None if self.ca_certs is None else Path(self.ca_certs).read_bytes()
            identity = None
            if self.certfile is not None:
                key = self.keyfile or self.certfile
                identity = Path(self.certfile).read_bytes(), Path(key).read_bytes()
            return ClientTlsConfig(trusted, identity)
        except OSError as error:
            raise BadSettings(f"{self}: TLS: {error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise BadSettings(f"{self}: TLS: {error}") from error


_TLS = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}


def from_url(url: str) -> tuple[Address, dict[str, str]]:
    """`redis://user:password@host:6379/0`, `rediss://` with TLS, `unix:///path?db=0`.

    Returns:
        The address, and what else the query says.

    Raises:
        BadSettings: another scheme, or a number that is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise BadSettings(f"{url}: a URL of Redis begins with redis://, rediss:// or unix://")
    query = dict(parse_qsl(parts.query))
    known: dict[str, str] = {_TLS[name]: query.pop(name) for name in _TLS if name in query}
    try:
        db = int(query.pop("db", "") or _database(parts.scheme, parts.path))
        port = parts.port or 6379
    except ValueError as error:
        raise BadSettings(f"{url}: {error}") from error
    address = Address(
        host=unquote(parts.hostname or "localhost"),
        port=port,
        path=unquote(parts.path) if parts.scheme == "unix" else None,
        db=db,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=parts.scheme == "rediss",
        **known,
    )
    return address, query


def _database(scheme: str, path: str) -> str:
    return "0" if scheme == "unix" else unquote(path).strip("/") or "0"
