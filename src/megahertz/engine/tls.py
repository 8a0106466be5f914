"""TLS for a server: which files, whom to let in, and what the workers share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from megahertz.engine.native import TlsConfig
from megahertz.errors import BadSettings

Stamp = tuple[tuple[int, int], ...]
"""Time of change and size of every file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS 1.2 and 1.3 by rustls, with HTTP/2 where the client can.

    Attributes:
        certificates: pairs of PEM files: a chain, the server's own certificate first, and its
            private key. A client is shown the one that has the name it asks for (SNI, wildcards
            too), or the first.
        client_ca: PEM file of the roots that clients' certificates must come from; None asks for
            none.
        client_required: False lets clients without a certificate in as well.
        only_13: refuse TLS 1.2.
        http2: offer `h2` by ALPN.
    """

    certificates: Sequence[tuple[Path, Path]]
    client_ca: Path | None = None
    client_required: bool = True
    only_13: bool = False
    http2: bool = True

    def load(self, secret: bytes) -> TlsConfig:
        """Reads and checks the files.

        Args:
            secret: of the session tickets, from `ticket_secret`; the workers of a server share it.

        Raises:
            BadSettings: a file that cannot be read, or holds something else.
        """
        try:
            return TlsConfig(
                [(chain.read_bytes(), key.read_bytes()) for chain, key in self.certificates],
                secret=secret,
                client_ca=None if self.client_ca is None else self.client_ca.read_bytes(),
                client_required=self.client_required,
                only_13=self.only_13,
                http2=self.http2,
            )
        except OSError as error:
            raise BadSettings(f"TLS: {error.filename}: {error.strerror}") from error
        except ValueError as error:
            names = ", ".join(f"{number} is {chain}" for number, (chain, _) in self._numbered())
            raise BadSettings(f"TLS: {error} ({names})") from error

    def stamp(self) -> Stamp:
        """Changes when a file does; a missing file has none."""
        return tuple(_stamp(path) for path in self._files())

    def _numbered(self) -> Sequence[tuple[int, tuple[Path, Path]]]:
        return list(enumerate(self.certificates))

    def _files(self) -> list[Path]:
        files = [path for pair in self.certificates for path in pair]
        return files if self.client_ca is None else [*files, self.client_ca]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
