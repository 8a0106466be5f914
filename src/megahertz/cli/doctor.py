"""`mhz doctor`: what slows a service down outside of it."""

import sys
import time
from dataclasses import asdict, replace

import click
import msgspec
from rich.console import Console
from rich.markup import escape

from megahertz.observe import Facts, Finding, Machine, Severity, examine, probe

COLOURS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.NOTICE: "cyan"}

NOBODY = 3


@click.command()
@click.argument("port", type=click.IntRange(1, 65535), required=False)
@click.option("--seconds", default=1.0, show_default=True, help="Between the two looks.")
@click.option("--ebpf", is_flag=True, help="Ask the kernel by bpftrace as well.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(port: int | None, seconds: float, ebpf: bool, as_json: bool) -> None:
    """Look for what slows a service down outside of it: network, kernel, limits.

    \b
    Example:
      mhz doctor                 the machine
      mhz doctor 8000            and who serves that port
      mhz doctor 8000 --json     for a program

    Findings come worst first, each with what was read, the way from what is seen to its cause, and
    the command that changes it. It changes nothing itself. Run it as root to see the processes of
    others, and inside the container or network namespace of the service.

    Exit codes: 0 nothing found, 1 a critical finding, 2 none worse than a warning, 3 nobody listens
    on the port.
    """
    seen: dict[str, int] = {}
    why: list[str] = []

    def wait() -> float:
        began = time.monotonic()
        if ebpf:
            found, note = probe(max(1, round(seconds)))
            seen.update(found)
            why.extend([note] if note else [])
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        return time.monotonic() - began

    with Console(stderr=True).status("looking"):
        facts = Machine().look(port, wait)
    facts = replace(facts, notes=(*facts.notes, *why, *_of(seen), *_missing(facts)))
    findings = examine(facts) if port is None or facts.listeners() else []
    if as_json:
        click.echo(msgspec.json.encode(_plain(findings, facts)))
    else:
        _show(findings, facts)
    sys.exit(_code(findings, facts))


def _of(seen: dict[str, int]) -> list[str]:
    worst = sorted(seen.items(), key=lambda item: -item[1])[:5]
    return [f"eBPF: {count} retransmissions to {address}" for address, count in worst]


def _missing(facts: Facts) -> list[str]:
    if facts.port is None:
        return ["processes were not looked at: name a port"]
    if facts.listeners() and not facts.processes:
        return ["processes were not looked at: they are somebody else's; run it as root"]
    return []


def _code(findings: list[Finding], facts: Facts) -> int:
    if facts.port is not None and not facts.listeners():
        return NOBODY
    if not findings:
        return 0
    return 1 if findings[0].severity is Severity.CRITICAL else 2


def _plain(findings: list[Finding], facts: Facts) -> dict[str, object]:
    named = [asdict(finding) | {"severity": finding.severity.name.lower()} for finding in findings]
    return {"port": facts.port, "findings": named, "notes": facts.notes}


def _show(findings: list[Finding], facts: Facts) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if facts.port is not None and not facts.listeners():
        console.print(f"nobody listens on port {facts.port}, in this network namespace")
    elif not findings:
        console.print(f"nothing found in {facts.seconds:.1f} s")
    for finding in findings:
        colour = COLOURS[finding.severity]
        console.print(f"[bold {colour}]{finding.severity.name}[/] [bold]{escape(finding.title)}[/]")
        console.print(f"  seen:  {escape(finding.evidence)}")
        for step in finding.path:
            console.print(f"     ->  {escape(step)}")
        console.print(f"  do:    {escape(finding.fix)}\n")
    for note in facts.notes:
        console.print(f"[dim]{escape(note)}[/]")
