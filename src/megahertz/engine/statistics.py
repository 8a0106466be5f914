"""What one worker has served, as a snapshot."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """Counters since the start, and at the end three gauges of this moment.

    Attributes:
        accepted: connections accepted.
        closed: connections closed, for whatever reason.
        requests: requests handed to routes.
        answers: answers written.
        refused: requests refused before any handler saw them.
        full: connections turned away with 503 because there were too many.
        exhausted: pauses of accepting because file descriptors had run out.
        gone: peers that left while their request was being answered.
        idled: idle connections closed.
        stalled: connections closed because the peer stopped reading.
        expired: deadlines that passed.
        sockets: WebSockets opened.
        messages: messages received on them.
        dropped: messages dropped because their receiver did not read.
        faults: WebSockets ended because the peer broke the protocol.
        silent: WebSockets ended because the peer answered no ping, or no close.
        bytes_in: bytes read.
        bytes_out: bytes written.
        handshakes: of TLS that went through.
        resumed: those of them that took up a session.
        bad_tls: connections whose TLS was none, or broken.
        panics: bugs of the engine that cost a request its answer.
        connections: open now.
        running: suspended handlers now.
        lag: seconds that the loop's last measured turn took; 0.0 where nothing is shed by it.
    """

    accepted: int = 0
    closed: int = 0
    requests: int = 0
    answers: int = 0
    refused: int = 0
    full: int = 0
    exhausted: int = 0
    gone: int = 0
    idled: int = 0
    stalled: int = 0
    expired: int = 0
    sockets: int = 0
    messages: int = 0
    dropped: int = 0
    faults: int = 0
    silent: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    handshakes: int = 0
    resumed: int = 0
    bad_tls: int = 0
    panics: int = 0
    connections: int = 0
    running: int = 0
    lag: float = 0.0
