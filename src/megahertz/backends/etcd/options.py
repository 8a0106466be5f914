"""How a cluster is reached: users, files, times."""

from dataclasses import dataclass

from megahertz.engine import pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a cluster is reached.

    Attributes:
        username: to log in as; None: nobody.
        password: of it.
        ca_certs: PEM file to trust with `https` endpoints; None: what the system trusts.
        certfile: PEM file of a chain to show, with `keyfile`.
        keyfile: PEM file of its key.
        timeout: seconds for a call, from the first attempt to its answer (etcdctl: 5 s).
        connect_timeout: seconds for each endpoint (etcdctl: 2 s).
        ping: seconds of silence after which a connection is pinged; etcd refuses less than 5 by
            default (`--grpc-keepalive-min-time`).
        ping_timeout: seconds after which one that does not answer is given up (etcdctl: 6 s).
        backoff: seconds of the longest pause before the second attempt, doubled each time; the
            pause is anything from 0 to that ("full jitter", AWS Architecture Blog, 2015).
        longest_backoff: seconds above which it is not doubled.
    """

    username: str | None = None
    password: str | None = None
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    timeout: float = 5.0
    connect_timeout: float = 2.0
    ping: float = 10.0
    ping_timeout: float = 5.0
    backoff: float = 0.05
    longest_backoff: float = 5.0

    def pause(self, attempt: int) -> float:
        """Seconds before an attempt, counted from 1; no two clients wait the same."""
        return pause(attempt, self.backoff, self.longest_backoff)
