"""Checks of the processes that serve: what they may have, and how they share the work."""

from collections.abc import Iterator

from megahertz.observe.doctor.facts import Facts, Finding, Process, Severity

FILES = 4096
"""Open files that a server should be allowed; the kernel's soft default of 1,024 is select(2)'s."""

FULL = 0.8
"""Of the files that it may have open."""

THROTTLED = 0.05
"""Of the periods of 100 ms."""

LOST = 0.01
"""Of the time: a process that is stopped once in a while at the end of a period loses less."""

EACH = 20
"""Connections a worker below which an imbalance is chance."""

TWICE = 2.0
"""The fullest worker beside the average one."""

FAR = 0.1
"""Of the pages that were taken from another memory node."""


def fd_limit(facts: Facts) -> Iterator[Finding]:
    """Processes that may open too few files."""
    for process in facts.processes:
        used = process.files / max(1, process.most_files)
        if process.most_files >= FILES and used < FULL:
            continue
        yield Finding(
            check="fd_limit",
            severity=Severity.CRITICAL if used >= FULL else Severity.WARNING,
            title=f"{_named(process)} may open {process.most_files} files, and has {process.files}",
            evidence=f"/proc/{process.pid}/limits: Max open files {process.most_files}; "
            f"/proc/{process.pid}/fd: {process.files}",
            path=(
                "each connection is a file; at the limit accept fails with EMFILE",
                "clients wait in the listen queue until it is full",
            ),
            fix=f"prlimit --pid {process.pid} --nofile=65536:65536; for good: LimitNOFILE=65536 "
            "in the unit, or ulimit -n 65536 before the start",
        )


def throttling(facts: Facts) -> Iterator[Finding]:
    """Processes that are stopped by the quota of their group."""
    seen: set[str] = set()
    for process in facts.processes:
        group = process.cgroup
        if group is None or group.path in seen or not group.periods:
            continue
        seen.add(group.path)
        share = group.throttled / group.periods
        if share < THROTTLED or group.lost < LOST * facts.seconds:
            continue
        yield Finding(
            check="throttling",
            severity=Severity.CRITICAL if share >= 0.25 else Severity.WARNING,
            title=f"The processor quota stops {_named(process)} in {share:.0%} of all periods",
            evidence=f"{group.path}/cpu.stat: {group.throttled} of {group.periods} periods, "
            f"{group.lost:.2f} s in the last {facts.seconds:.1f} s",
            path=(
                "latencies have a tail of up to 100 ms: the rest of a period",
                "the group has used its share (cpu.max, cpu.cfs_quota_us) before its end",
            ),
            fix="raise the limit (resources.limits.cpu in Kubernetes, CPUQuota= in systemd), or "
            "run fewer workers: mhz run --workers auto counts by the quota",
        )


def balance(facts: Facts) -> Iterator[Finding]:
    """Workers of which one has most of the connections."""
    # A supervisor holds the listeners and accepts nothing.
    parents = {process.parent for process in facts.processes}
    workers = [process for process in facts.processes if process.pid not in parents]
    held = {
        worker.pid: sum(it.inode in worker.inodes for it in facts.served() if it.inode)
        for worker in workers
    }
    total = sum(held.values())
    if len(workers) < 2 or total < EACH * len(workers):
        return
    most, average = max(held.values()), total / len(workers)
    if most < TWICE * average:
        return
    told = ", ".join(f"{pid}: {count}" for pid, count in sorted(held.items()))
    yield Finding(
        check="balance",
        severity=Severity.WARNING,
        title=f"One worker has {most} of {total} connections, {most / average:.1f} times its share",
        evidence=f"connections by process: {told}",
        path=(
            "SO_REUSEPORT shares connections out by a hash when they come, not by load",
            "a few clients with many connections, or workers that were restarted meanwhile",
        ),
        fix="mhz reload (clients connect anew), and limit the age of connections: "
        "mhz run --limit requests=1000",
    )


def numa(facts: Facts) -> Iterator[Finding]:
    """Memory that is far from its processor."""
    other = sum(pages for pages, _ in facts.nodes.values())
    every = sum(pages for _, pages in facts.nodes.values())
    if len(facts.nodes) < 2 or not every or other / every < FAR:
        return
    yield Finding(
        check="numa",
        severity=Severity.NOTICE,
        title=f"{other / every:.0%} of the memory lies at another node than its processor",
        evidence=f"numastat: {other} of {every} pages, {len(facts.nodes)} nodes",
        path=("workers move between nodes, their memory stays", "each access takes longer"),
        fix="mhz run --bind-cpus node",
    )


def _named(process: Process) -> str:
    return f"{process.name or 'process'} {process.pid}"


CHECKS = (fd_limit, throttling, balance, numa)
