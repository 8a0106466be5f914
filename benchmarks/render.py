"""Pages and pictures out of the newest results: `python -m benchmarks.render`.

A figure in a page is never typed in; a test compares each page with the files it came from. What
makes the files: `make bench`, and `mhz demo flash-sale --json
benchmarks/results/flash-sale-<time>.json`.
"""

from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    balance,
    calls,
    cancellations,
    compare,
    curves,
    failover,
    handshakes,
    hits,
    limiters,
    logs,
    machine_limit,
    outage,
    overhead,
    overload,
    redis_limits,
    relay,
    result,
    saturate,
    slow,
    sockets,
    tiers,
)
from benchmarks.build import ROOT
from benchmarks.micro import steps
from benchmarks.peer import FLOOR
from benchmarks.plot import plot
from benchmarks.promise import judged
from benchmarks.result import FOLDER, Found
from benchmarks.work import WORKS

COMPARE = "docs/compare.md"
PLOTS = "docs/plots"


def hello(found: Found) -> list[str]:
    """A row a server, then how it was measured."""
    return [*compare.table(found, FLOOR), "", compare.place(found)]


def flash_sale(found: Found) -> list[str]:
    """A row a stage, then what the audit and the machine were."""
    lines = [
        "| stage | orders/s | P50 | P99 | P99.9 | failed | CPU us an order | rush, answers/s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for stage in found["stages"]:
        times = " | ".join(f"{stage[name] * 1e3:,.1f} ms" for name in ("p50", "p99", "p999"))
        rush = stage["phases"]["rush"]["qps"]
        lines.append(
            f"| {stage['name']} | {stage['qps']:,.0f} | {times} | {stage['failed']} "
            f"| {stage['cpu_per_request'] * 1e6:,.0f} | {rush:,.0f} |"
        )
    machine = found["machine"]
    return [
        *lines,
        "",
        f"{found['when'][:10]}, {machine['cpu']}, {machine['cores']} cores, Linux "
        f"{machine['kernel']}, Python {machine['python']}; {found['connections']} connections, "
        f"{found['seconds']:g} s a phase, server and generator on a core each. The last stage "
        f"makes {found['ratio']:.1f} times the orders of the first; "
        f"the audit {'holds' if found['audit']['ok'] else 'FAILS'}.",
    ]


def micro(found: Found) -> list[str]:
    """A row a step, beside its budget."""
    lines = ["| step | what | instructions | budget |", "|---|---|---:|---:|"]
    lines += [
        f"| {step.name} | {step.what} | {found['counts'][step.name]:,.0f} | {step.budget:,} |"
        for step in steps()
        if step.name in found["counts"]
    ]
    versions = ", ".join(found["versions"].values())
    machine = found["machine"]
    said = f"{found['when'][:10]}, commit {found['commit']}, {machine['cpu']}, {versions}."
    return [*lines, "", said]


PARTS: dict[tuple[str, str], Callable[[Found], list[str]]] = {
    ("README.md", "hello"): hello,
    ("docs/guide/flash-sale.md", "flash-sale"): flash_sale,
    ("docs/design/micro.md", "micro"): micro,
    ("docs/guide/load.md", "generator"): saturate.table,
    ("docs/guide/tls.md", "handshakes"): handshakes.table,
    ("docs/guide/limits.md", "limiters"): limiters.table,
    ("docs/guide/limits.md", "machine-limit"): machine_limit.table,
    ("docs/guide/limits.md", "outage"): outage.table,
    ("docs/guide/deadlines.md", "cancellations"): cancellations.table,
    ("docs/guide/limits.md", "redis-limits"): redis_limits.table,
    ("docs/guide/balancing.md", "balance"): balance.table,
    ("docs/guide/client.md", "client"): calls.table,
    ("docs/guide/client.md", "overhead"): overhead.table,
    ("docs/guide/proxying.md", "relay"): relay.table,
    ("docs/guide/caches.md", "hits"): hits.table,
    ("docs/guide/caches.md", "tiers"): tiers.table,
    ("docs/guide/caches.md", "curves"): curves.table,
    ("docs/guide/redis.md", "failover"): failover.table,
    ("docs/guide/logs.md", "logs"): logs.table,
    ("docs/guide/overload.md", "overload"): overload.table,
    ("docs/design/connections.md", "sockets"): sockets.table,
    ("docs/design/connections.md", "million"): sockets.table,
    ("docs/design/connections.md", "slow"): slow.table,
}
"""Tables between marks, by page and result."""


def rendered(folder: Path = FOLDER) -> dict[str, str]:
    """Every file that results are written into, by its path under the root, as it should be."""
    found = {name: it for name in WORKS if (it := result.newest(name, folder))}
    pages = {COMPARE: compare.page(list(found.values()), judged(found.get))}
    pages |= {f"{PLOTS}/{name}.svg": plot(it) for name, it in found.items()}
    if newest := result.newest("overload", folder):
        pages[f"{PLOTS}/overload.svg"] = overload.picture(newest)
    if newest := result.newest("balance", folder):
        pages[f"{PLOTS}/balance.svg"] = balance.picture(newest)
    if newest := result.newest("curves", folder):
        pages[f"{PLOTS}/hits.svg"] = curves.picture(newest)
    for (page, name), table in PARTS.items():
        if newest := result.newest(name, folder):
            before = pages.get(page) or (ROOT / page).read_text()
            pages[page] = _between(before, name, table(newest))
    return pages


def _between(text: str, name: str, lines: list[str]) -> str:
    begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
    before, _, rest = text.partition(begin)
    return before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


def main() -> None:
    """Rewrites them."""
    for path, text in rendered().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
