"""What only the kernel sees: retransmissions by address, by bpftrace, where that is possible."""

import json
import shutil
import subprocess
from collections.abc import Callable
from os import geteuid
from pathlib import Path

PROGRAM = (
    "tracepoint:tcp:tcp_retransmit_skb {{ @[ntop(args->daddr), args->dport] = count(); }} "
    "interval:s:{seconds} {{ exit(); }}"
)

Run = Callable[..., "subprocess.CompletedProcess[str]"]

START = 20.0
"""Seconds for bpftrace to compile its program."""


def probe(
    seconds: int, run: Callable[..., "subprocess.CompletedProcess[str]"] = subprocess.run
) -> tuple[dict[str, int], str]:
    """Retransmissions by address while it looks, and why there are none to tell: one is empty."""
    program = shutil.which("bpftrace")
    if program is None:
        return {}, "eBPF was not used: bpftrace is not installed (apt-get install bpftrace)"
    if geteuid():
        return {}, "eBPF was not used: it needs root"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return {}, "eBPF was not used: the kernel has no type information (CONFIG_DEBUG_INFO_BTF)"
    command = [program, "-f", "json", "-e", PROGRAM.format(seconds=seconds)]
    try:
        done = run(command, capture_output=True, text=True, timeout=seconds + START)
    except subprocess.TimeoutExpired:
        return {}, "eBPF was not used: bpftrace did not come back"
    if done.returncode:
        return {}, f"eBPF was not used: {_why(done.stderr)}"
    return read(done.stdout), ""


def _why(text: str) -> str:
    """The line of bpftrace's that says it; others point at its place in the program."""
    lines = [line for line in text.splitlines() if any(map(str.isalpha, line))]
    errors = [line for line in lines if "ERROR" in line]
    return next(iter([*reversed(errors), *lines]), "bpftrace failed")


def read(text: str) -> dict[str, int]:
    """What bpftrace says in JSON, a line a map."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("type") == "map":
            for counted in said.get("data", {}).values():
                found |= {str(key).replace(",", ":"): int(value) for key, value in counted.items()}
    return found
