"""Each check over facts: where it begins to find, and what it says."""

import pytest

from megahertz.observe.doctor import (
    Cgroup,
    Facts,
    Process,
    Severity,
    Socket,
    State,
    examine,
)


def found(**facts):
    return {finding.check: finding for finding in examine(Facts(**facts))}


def listening(unsent=4096):
    return Socket(state=State.LISTEN, local=("::", 80), unsent=unsent, inode=1)


def open_to(port=80, **fields):
    given = {"state": State.ESTABLISHED, "local": ("10.0.0.1", port), "remote": ("10.0.0.2", 9)}
    return Socket(**{**given, **fields})


def waiting(count, first=32768, remote=("10.0.0.2", 6379)):
    ports = range(first, first + count)
    return [Socket(state=State.TIME_WAIT, local=("a", port), remote=remote) for port in ports]


def test_nothing_is_wrong_with_nothing():
    assert examine(Facts()) == []


def test_the_worst_comes_first_and_every_finding_is_whole():
    facts = Facts(
        port=80,
        settings={"net.ipv4.tcp_fin_timeout": "600", "net.core.somaxconn": "128"},
        grown={"TcpExt.ListenOverflows": 5},
        counters={"TcpExt.ListenOverflows": 5},
        sockets=[listening(64)],
    )

    findings = examine(facts)

    assert [finding.check for finding in findings] == [
        "listen_drops",
        "small_backlog",
        "fin_timeout",
    ]
    assert [finding.severity for finding in findings] == sorted(it.severity for it in findings)
    assert all(it.title and it.evidence and it.path and it.fix for it in findings)


@pytest.mark.parametrize(
    ("total", "opened", "expected"), [(9, 0, False), (100, 10_000, True), (100, 10**6, False)]
)
def test_drops_of_the_past_are_told_where_they_were_many(total, opened, expected):
    counters = {"TcpExt.ListenOverflows": total, "Tcp.PassiveOpens": opened}
    drops = found(counters=counters).get("listen_drops")

    assert (drops is not None) == expected
    assert drops is None or drops.severity is Severity.NOTICE


def test_a_backlog_is_looked_at_of_the_port_alone():
    assert found(sockets=[listening(5)]) == {}
    assert "port 80: 5" in found(port=80, sockets=[listening(5)])["small_backlog"].evidence
    assert found(port=80, sockets=[listening(128)]) == {}


@pytest.mark.parametrize(
    ("counters", "grown", "severity"),
    [
        ((10_000, 99), (0, 0), None),
        ((10_000, 100), (0, 0), Severity.NOTICE),
        ((499, 400), (0, 0), None),
        ((10_000, 0), (500, 5), Severity.CRITICAL),
        ((10_000, 9000), (500, 4), None),
    ],
)
def test_loss_is_a_share_of_enough_segments(counters, grown, severity):
    names = ("Tcp.OutSegs", "Tcp.RetransSegs")
    said = found(
        counters=dict(zip(names, counters, strict=True)),
        grown=dict(zip(names, grown, strict=True)),
    )

    assert (said["retransmits"].severity if said else None) == severity


def test_the_connection_that_suffers_most_is_named():
    counters = {"Tcp.OutSegs": 1000, "Tcp.RetransSegs": 100}
    worst = open_to(retransmitted=90, sent=200, rtt=0.05, congestion=2)
    said = found(counters=counters, sockets=[open_to(), worst])["retransmits"].evidence

    assert "10.0.0.2:9, 90 of 200 segments, rtt 50.0 ms, window 2" in said


@pytest.mark.parametrize(
    ("count", "severity"), [(499, None), (500, Severity.WARNING), (901, Severity.CRITICAL)]
)
def test_time_waits_to_one_address(count, severity):
    settings = {"net.ipv4.ip_local_port_range": "20000 20999", "net.ipv4.tcp_tw_reuse": "1"}
    said = found(settings=settings, sockets=waiting(count, 20000)).get("time_waits")

    assert (said.severity if said else None) == severity


def test_time_waits_to_many_addresses_take_no_ports_from_each_other():
    settings = {"net.ipv4.ip_local_port_range": "20000 20999"}
    sockets = [it for n in range(4) for it in waiting(200, 20000, ("10.0.0.2", n))]

    assert "time_waits" not in found(settings=settings, sockets=sockets)


def test_time_waits_of_a_server_are_none_of_ours():
    served = [
        Socket(state=State.TIME_WAIT, local=("a", 80), remote=("b", n)) for n in range(30_000)
    ]

    assert found(sockets=served, settings={"net.ipv4.tcp_tw_reuse": "0"}) == {}


def test_no_reuse_needs_many():
    off = {"net.ipv4.tcp_tw_reuse": "0"}

    assert found(settings=off, sockets=waiting(7000)) == {}
    assert list(found(settings=off, sockets=waiting(7100))) == ["no_reuse"]


@pytest.mark.parametrize(("first", "expected"), [(50_000, True), (50_001, True), (49_000, False)])
def test_a_range_of_ports(first, expected):
    said = found(settings={"net.ipv4.ip_local_port_range": f"{first} {first + 9998}"})
    assert "port_range" in said
    wide = found(settings={"net.ipv4.ip_local_port_range": f"{first} {first + 9999}"})
    assert wide == {}


def test_many_in_fin_wait_make_it_worse():
    half = [Socket(state=State.FIN_WAIT2, local=("a", 80))] * 1000
    said = found(settings={"net.ipv4.tcp_fin_timeout": "61"}, sockets=half)

    assert said["fin_timeout"].severity is Severity.WARNING


def test_what_is_unread_or_stuck_is_of_the_port():
    sockets = [open_to(received=65_536), open_to(81, received=1 << 20), open_to(unsent=1 << 20)]

    assert list(found(port=80, sockets=sockets)) == ["unread", "stuck"]
    assert found(port=82, sockets=sockets) == {}


def test_what_is_not_closed():
    left = [Socket(state=State.CLOSE_WAIT, local=("a", 80), inode=n + 1) for n in range(100)]

    assert list(found(port=80, sockets=left)) == ["unclosed"]
    assert found(port=80, sockets=left[1:]) == {}


@pytest.mark.parametrize(
    ("files", "most", "severity"),
    [
        (10, 4096, None),
        (10, 1024, Severity.WARNING),
        (80_000, 100_000, Severity.CRITICAL),
        (79_999, 100_000, None),
    ],
)
def test_files(files, most, severity):
    process = Process(pid=7, name="mhz", files=files, most_files=most)
    said = found(processes=[process]).get("fd_limit")

    assert (said.severity if said else None) == severity
    assert said is None or "--pid 7" in said.fix


@pytest.mark.parametrize(
    ("periods", "stopped", "lost", "severity"),
    [
        (0, 0, 0.0, None),
        (100, 4, 1.0, None),
        (100, 5, 1.0, Severity.WARNING),
        (100, 25, 1.0, Severity.CRITICAL),
        (100, 25, 0.001, None),
    ],
)
def test_quotas(periods, stopped, lost, severity):
    group = Cgroup(path="/g", periods=periods, throttled=stopped, lost=lost)
    processes = [Process(pid=7, cgroup=group), Process(pid=8, cgroup=group)]
    findings = examine(Facts(processes=processes))

    assert [finding.severity for finding in findings] == (
        [severity] if severity is not None else []
    )


def workers(*counts):
    """A supervisor and its workers, with so many connections each."""
    processes, sockets, inode = [Process(pid=1, inodes=frozenset({1}))], [], 10
    for pid, count in enumerate(counts, 2):
        inodes = range(inode, inode + count)
        inode += count
        processes.append(Process(pid=pid, parent=1, inodes=frozenset({1, *inodes})))
        sockets += [open_to(inode=it) for it in inodes]
    return {"processes": processes, "sockets": sockets}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [((40, 0), True), ((39, 0), False), ((30, 30, 30), False), ((39, 21), False), ((100,), False)],
)
def test_balance(counts, expected):
    assert ("balance" in found(**workers(*counts))) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({0: (50, 100)}, False),
        ({0: (20, 100), 1: (0, 100)}, True),
        ({0: (10, 100), 1: (0, 100)}, False),
        ({0: (0, 0), 1: (0, 0)}, False),
    ],
)
def test_nodes(nodes, expected):
    assert ("numa" in found(nodes=nodes)) == expected
