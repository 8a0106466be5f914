"""The README's table out of the newest result: `python -m benchmarks.render`.

A figure in a page is never typed in; a test compares the page with the file it came from.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- bench:hello -->\n", "<!-- /bench:hello -->"


def newest() -> Path:
    """The latest committed result; their names sort by time."""
    return max((ROOT / "benchmarks" / "results").glob("hello-*.json"))


def table(found: Mapping[str, Any]) -> str:
    """Markdown: a row a server, then how it was measured."""
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
    lines += [
        "",
        f"{found['when'][:10]}, commit {found['commit']}, {machine['cpu']}, {machine['cores']} "
        f"cores, Linux {machine['kernel']}; {method['connections']} connections from "
        f"{method['generator']}, {method['rounds']} interleaved rounds of "
        f"{method['seconds']:g} s, {method['cores']}. {versions}.",
    ]
    return "\n".join(lines) + "\n"


def written(page: str, found: Mapping[str, Any]) -> str:
    """`page` with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(found) + END + after


def main() -> None:
    """Rewrites the README."""
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(), json.loads(newest().read_text())))


if __name__ == "__main__":
    main()
