"""Checks of the network: what is lost, what waits, what runs out.

Thresholds are where a service suffers, not where a counter moves: a machine that is well has a few
of everything.
"""

from collections import Counter
from collections.abc import Iterator

from megahertz.observe.doctor.facts import Facts, Finding, Severity, State

SOMAXCONN = 1024
"""Connections that a listener may have waiting (the kernel's default since 5.4: 4,096)."""

OVERFLOWS = 10
"""Connections dropped at listeners ever, below which nobody has noticed."""

RETRANSMITTED = 0.01
"""Of all segments: from 1 % on a connection is slower by a multiple (Mathis et al. 1997: the rate
goes with one over the root of the loss)."""

FEW_SEGMENTS = 500
"""Segments below which a share says nothing."""

TIME_WAITS = 0.5
"""Of the ports to one address; when all are taken, connect fails with EADDRNOTAVAIL."""

PORTS = 10_000
"""Ports that connections may come from (the kernel's default range has 28,232)."""

FIN_TIMEOUT = 60
"""Seconds of FIN_WAIT2 (the kernel's default; the reports set 30)."""

UNREAD = 64 * 1024
"""Bytes in one connection that the application has not read."""

STUCK = 1 << 20
"""Bytes in one connection that its peer does not take."""

UNCLOSED = 100
"""Connections whose peer has gone and that the application has not closed."""


def listen_drops(facts: Facts) -> Iterator[Finding]:
    """Connections that came while the listener's queue was full."""
    total, now = _both(facts, "TcpExt.ListenOverflows")
    opened = facts.counters.get("Tcp.PassiveOpens", 0)
    if not now and (total < OVERFLOWS or total < (total + opened) / 1000):
        return
    smallest = min((it.unsent for it in facts.listeners()), default=0)
    yield Finding(
        check="listen_drops",
        severity=Severity.CRITICAL if now else Severity.NOTICE,
        title="Connections are dropped because a listen queue is full"
        if now
        else "Connections were dropped because a listen queue was full, not now",
        evidence=f"TcpExt.ListenOverflows {total}, {now} in the last {facts.seconds:.1f} s; "
        f"the smallest queue holds {smallest}, net.core.somaxconn is "
        f"{facts.setting('net.core.somaxconn', 4096)}",
        path=(
            "a client sees connects that take 1 s, 3 s, 7 s: it sends its SYN again",
            "the kernel drops the last step of handshakes while the accept queue is full",
            "the queue holds min(backlog, net.core.somaxconn), and is not emptied fast enough",
        ),
        fix="sysctl -w net.core.somaxconn=4096, then restart the server; if it stays: more "
        "workers (mhz run --workers auto)",
    )


def small_backlog(facts: Facts) -> Iterator[Finding]:
    """Listeners whose queue a burst fills."""
    somaxconn = facts.setting("net.core.somaxconn", 4096)
    small = [it for it in facts.listeners() if facts.port is not None and it.unsent < 128]
    if somaxconn >= SOMAXCONN and not small:
        return
    told = ", ".join(sorted({f"port {it.local[1]}: {it.unsent}" for it in small}))
    yield Finding(
        check="small_backlog",
        severity=Severity.WARNING,
        title="A burst of connections does not fit the listen queue",
        evidence=f"net.core.somaxconn {somaxconn}{'; ' if told else ''}{told}",
        path=(
            "connections that come together wait in the accept queue",
            "what does not fit is dropped, and comes again a second later",
        ),
        fix="sysctl -w net.core.somaxconn=4096, then restart the server"
        if somaxconn < SOMAXCONN
        else "give listen() a larger backlog, then restart the server",
    )


def retransmits(facts: Facts) -> Iterator[Finding]:
    """Segments that had to be sent again."""
    sent, sent_now = _both(facts, "Tcp.OutSegs")
    again, again_now = _both(facts, "Tcp.RetransSegs")
    recent = sent_now >= FEW_SEGMENTS
    share = again_now / sent_now if recent else again / sent if sent >= FEW_SEGMENTS else 0.0
    if share < RETRANSMITTED:
        return
    worst = max(facts.of(State.ESTABLISHED), key=lambda it: it.retransmitted, default=None)
    told = ""
    if worst is not None and worst.retransmitted:
        told = (
            f"; worst of the open ones: {worst.remote[0]}:{worst.remote[1]}, "
            f"{worst.retransmitted} of {worst.sent} segments, rtt {worst.rtt * 1e3:.1f} ms, "
            f"window {worst.congestion}"
        )
    yield Finding(
        check="retransmits",
        severity=Severity.CRITICAL if recent else Severity.NOTICE,
        title=f"{share:.1%} of the segments {'are' if recent else 'were'} sent again",
        evidence=f"Tcp.RetransSegs {again} of {sent}, {again_now} of {sent_now} in the last "
        f"{facts.seconds:.1f} s{told}",
        path=(
            "latencies have a tail at 200 ms and above: the retransmission timer",
            "segments are lost on the way, or their answers are",
            "a full queue or a shaper (tc -s qdisc), a bad link (ip -s link), a path's MTU",
        ),
        fix="tc -s qdisc; ip -s link: the interface whose drops grow is the place",
    )


def time_waits(facts: Facts) -> Iterator[Finding]:
    """Ports that are taken by connections that we have closed."""
    first, last = facts.port_range
    there = max(1, last - first + 1)
    ours = [it for it in facts.of(State.TIME_WAIT) if first <= it.local[1] <= last]
    to = Counter(it.remote for it in ours)
    if not to:
        return
    (address, count), *_ = to.most_common(1)
    if count < TIME_WAITS * there:
        return
    reuse = facts.setting("net.ipv4.tcp_tw_reuse", 2)
    yield Finding(
        check="time_waits",
        severity=Severity.CRITICAL if count > 0.9 * there else Severity.WARNING,
        title=f"{count} of {there} ports to {address[0]}:{address[1]} are in TIME_WAIT",
        evidence=f"{len(ours)} connections of ours in TIME_WAIT, {count} to one address; "
        f"net.ipv4.tcp_tw_reuse is {reuse}",
        path=(
            "connect fails with EADDRNOTAVAIL (Cannot assign requested address)",
            "each closed connection keeps its port for 60 s",
            "a client opens a connection for each request instead of keeping some",
        ),
        fix="keep connections (a pool, keep-alive)"
        + ("" if reuse == 1 else "; until then: sysctl -w net.ipv4.tcp_tw_reuse=1"),
    )


def no_reuse(facts: Facts) -> Iterator[Finding]:
    """TIME_WAIT that cannot be taken over although there are many."""
    first, last = facts.port_range
    waiting = len([it for it in facts.of(State.TIME_WAIT) if first <= it.local[1] <= last])
    if facts.setting("net.ipv4.tcp_tw_reuse", 2) or waiting < (last - first + 1) / 4:
        return
    yield Finding(
        check="no_reuse",
        severity=Severity.WARNING,
        title="Ports in TIME_WAIT are not used again for new connections",
        evidence=f"net.ipv4.tcp_tw_reuse 0, {waiting} connections of ours in TIME_WAIT",
        path=(
            "new connections to the same address need a port that is free",
            "with timestamps (RFC 6191) one in TIME_WAIT may be taken, which is switched off",
        ),
        fix="sysctl -w net.ipv4.tcp_tw_reuse=1",
    )


def port_range(facts: Facts) -> Iterator[Finding]:
    """Too few ports for connections of ours."""
    first, last = facts.port_range
    there = last - first + 1
    if there >= PORTS:
        return
    yield Finding(
        check="port_range",
        severity=Severity.WARNING,
        title=f"Only {there} ports are there for connections to other services",
        evidence=f"net.ipv4.ip_local_port_range {first} {last}",
        path=(
            "each connection to one address and port needs a port of its own",
            f"at more than {max(1, there // 60)} new connections a second to one address they run "
            "out: a closed one keeps its port for 60 s",
        ),
        fix='sysctl -w net.ipv4.ip_local_port_range="32768 60999"',
    )


def fin_timeout(facts: Facts) -> Iterator[Finding]:
    """Half-closed connections that are kept for too long."""
    seconds = facts.setting("net.ipv4.tcp_fin_timeout", FIN_TIMEOUT)
    if seconds <= FIN_TIMEOUT:
        return
    waiting = len(facts.of(State.FIN_WAIT2))
    yield Finding(
        check="fin_timeout",
        severity=Severity.NOTICE if waiting < 1000 else Severity.WARNING,
        title=f"A connection whose peer does not close is kept for {seconds} s",
        evidence=f"net.ipv4.tcp_fin_timeout {seconds}, {waiting} in FIN_WAIT2",
        path=("clients that go without closing leave connections in FIN_WAIT2, with memory each",),
        fix="sysctl -w net.ipv4.tcp_fin_timeout=30",
    )


def unread(facts: Facts) -> Iterator[Finding]:
    """Bytes that have come and that nobody reads."""
    behind = [it for it in facts.served() if it.received >= UNREAD]
    if not behind:
        return
    most = max(behind, key=lambda it: it.received)
    yield Finding(
        check="unread",
        severity=Severity.WARNING,
        title=f"{len(behind)} connections hold data that the application does not read",
        evidence=f"the most: {most.received} bytes from {most.remote[0]}:{most.remote[1]} on port "
        f"{most.local[1]}",
        path=(
            "the receive queue grows while the application is busy or blocked",
            "or a handler streams its body and does not ask for it",
        ),
        fix="look for a blocking call: Runtime logs slow callbacks, py-spy dump --pid PID shows "
        "the line",
    )


def stuck(facts: Facts) -> Iterator[Finding]:
    """Answers that their peers do not take."""
    behind = [it for it in facts.served() if it.unsent + it.notsent >= STUCK]
    if not behind:
        return
    most = max(behind, key=lambda it: it.unsent + it.notsent)
    yield Finding(
        check="stuck",
        severity=Severity.NOTICE,
        title=f"{len(behind)} peers take their answers slowly",
        evidence=f"the most: {most.unsent + most.notsent} bytes to {most.remote[0]}:"
        f"{most.remote[1]}, rtt {most.rtt * 1e3:.1f} ms, window {most.congestion}",
        path=("the send queue grows: a slow client, or one that has stopped reading",),
        fix="mhz run --limit write_timeout=10 ends those that take nothing",
    )


def unclosed(facts: Facts) -> Iterator[Finding]:
    """Connections whose peer has gone."""
    waiting = [
        it
        for it in facts.of(State.CLOSE_WAIT)
        if it.inode and (facts.port is None or it.local[1] == facts.port)
    ]
    if len(waiting) < UNCLOSED:
        return
    yield Finding(
        check="unclosed",
        severity=Severity.WARNING,
        title=f"{len(waiting)} connections were left by their peer and are not closed here",
        evidence=f"{len(waiting)} sockets in CLOSE_WAIT",
        path=(
            "the peer has closed, the application has not: a client of ours that leaks responses",
            "each holds a file descriptor until it does",
        ),
        fix="close responses and pools (async with), or lower the pool's idle time",
    )


def _both(facts: Facts, name: str) -> tuple[int, int]:
    """Ever, and during the look."""
    return facts.counters.get(name, 0), facts.grown.get(name, 0)


CHECKS = (
    listen_drops,
    small_backlog,
    retransmits,
    time_waits,
    no_reuse,
    port_range,
    fin_timeout,
    unread,
    stuck,
    unclosed,
)
