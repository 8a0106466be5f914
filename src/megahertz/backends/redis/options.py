"""How a client treats its connections: times, bounds, texts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What all connections of a client have in common.

    Attributes:
        timeout: seconds from a command to its reply; None waits for ever. go-redis has 3 s to read,
            redis-py none.
        connect_timeout: seconds to connect and to be greeted; go-redis: 5 s.
        retries: attempts to connect before what waits fails; redis-py: 3.
        backoff: seconds of the longest pause before the second attempt, doubled each time; the
            pause is anything from 0 to that ("full jitter", AWS Architecture Blog, 2015).
        longest_backoff: seconds above which it is not doubled; redis-py has 10 s, go-redis 0.5 s.
        count: commands that may wait for replies; more are refused (Overloaded). lettuce has no
            bound of its own, go-redis and rueidis let callers wait instead.
        bytes: octets of those.
        encoding: of texts.
        encoding_errors: what is done about octets that are none.
        decode_responses: strings of replies are `str`.
        client_name: as CLIENT LIST shows it.
        protocol: 3, or 2 for servers before Redis 6.
    """

    timeout: float | None = 5.0
    connect_timeout: float = 5.0
    retries: int = 3
    backoff: float = 0.05
    longest_backoff: float = 2.0
    count: int = 16_384
    bytes: int = 256 * 1024 * 1024
    encoding: str = "utf-8"
    encoding_errors: str = "strict"
    decode_responses: bool = False
    client_name: str | None = None
    protocol: int = 3
