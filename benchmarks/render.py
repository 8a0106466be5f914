"""Tables of the pages out of the newest results: `python -m benchmarks.render`.

A figure in a page is never typed in; a test compares each page with the file it came from. What
makes the files: `python -m benchmarks`, and `mhz demo flash-sale --json
benchmarks/results/flash-sale-<time>.json`.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
Found = Mapping[str, Any]


def newest(name: str) -> Found:
    """The latest result of that name; their files sort by time."""
    file = max((ROOT / "benchmarks" / "results").glob(f"{name}-*.json"))
    found: Found = json.loads(file.read_text())
    return found


def hello(found: Found) -> list[str]:
    """A row a server, then how it was measured."""
    floor = found["peers"]["floor"]["cpu_us"]["median"]
    lines = [
        "| server | CPU us/request, median [min-max] | against the floor | requests/s |",
        "|---|---:|---:|---:|",
    ]
    for name, peer in found["peers"].items():
        cpu, rps = peer["cpu_us"], peer["rps"]["median"]
        spread = f"{cpu['median']:.2f} [{cpu['min']:.2f}-{cpu['max']:.2f}]"
        lines.append(f"| {name} | {spread} | {cpu['median'] / floor:.2f} | {rps:,.0f} |")
    method, machine = found["method"], found["machine"]
    versions = ", ".join(f"{name}: {said}" for name, said in found["versions"].items() if said)
    return [
        *lines,
        "",
        f"{found['when'][:10]}, commit {found['commit']}, {machine['cpu']}, {machine['cores']} "
        f"cores, Linux {machine['kernel']}; {method['connections']} connections from "
        f"{method['generator']}, {method['rounds']} interleaved rounds of "
        f"{method['seconds']:g} s, {method['cores']}. {versions}.",
    ]


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


PAGES: dict[str, tuple[str, Callable[[Found], list[str]]]] = {
    "README.md": ("hello", hello),
    "docs/guide/flash-sale.md": ("flash-sale", flash_sale),
}


def written(page: str) -> str:
    """The page with the newest table in its place."""
    name, table = PAGES[page]
    begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
    before, _, rest = (ROOT / page).read_text().partition(begin)
    _, _, after = rest.partition(end)
    return before + begin + "\n".join(table(newest(name))) + "\n" + end + after


def main() -> None:
    """Rewrites the pages."""
    for page in PAGES:
        (ROOT / page).write_text(written(page))


if __name__ == "__main__":
    main()
