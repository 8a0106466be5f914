"""docs/compare.md: a table, a picture and sentences for each work, all from its result."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.figures import FIGURES, overlap
from benchmarks.peer import FLOOR, OURS
from benchmarks.promise import Verdict
from benchmarks.result import Found

HEAD = """# Side by side

This page is written by `python -m benchmarks.render` from the results of `make bench`.
No figure in it is typed.
[How it is measured](guide/benchmarks.md) says what the servers, the loads and the columns are.
CPU is that of the server's whole process tree, a request.
What stands in brackets is the range of the rounds.
`x megahertz` is a server's CPU over that of megahertz on asyncio: above 1, it costs more.
"""

WORTH = 0.02
"""Differences of medians below this share are no difference."""


def page(found: Sequence[Found], verdicts: Iterable[Verdict]) -> str:
    """The whole page; works that were never measured are not in it."""
    parts = [HEAD, _summary(found), _promises(list(verdicts), {it["work"] for it in found})]
    parts += [section(it) for it in found]
    return "\n".join(parts)


def _summary(found: Sequence[Found]) -> str:
    """Where a peer spends less CPU than megahertz, before anything else."""
    lost, count = [], 0
    for it in found:
        for point, measured in it["points"].items():
            ours = _of(measured, OURS[0])
            if ours is None or "cpu_us" not in ours:
                continue
            count += 1
            where = it["work"] if len(it["points"]) == 1 else f"{it['work']} at {point}"
            if better := _better(measured, ours, "cpu_us"):
                lost.append(f"- {where} ({_value('cpu_us', ours)}): {', '.join(better)}.")
    told = (
        f"Loads measured: {count}; a peer spends less CPU a request than megahertz in {len(lost)}"
    )
    lines = ["## Where a peer wins", "", told + (":" if lost else "."), ""]
    return "\n".join([*lines, *lost, ""] if lost else lines)


def _promises(verdicts: list[Verdict], works: set[str]) -> str:
    lines = ["## What is promised", "", "| promise | measured | kept |", "|---|---:|---|"]
    for verdict in verdicts:
        if verdict.value is None:
            said = "not yet measured" if verdict.promise.work not in works else "peer missing"
            lines.append(f"| {verdict.promise} | {said} | - |")
        else:
            kept = "yes" if verdict.holds else "**no**"
            lines.append(f"| {verdict.promise} | {verdict.said} | {kept} |")
    return "\n".join([*lines, ""])


def section(found: Found) -> str:
    """One work: table, picture, who is better, and where it was measured."""
    name = found["work"]
    many = len(found["points"]) > 1
    lines = [f"## {name}: {found['what']}", "", *(_by_point(found) if many else table(found)), ""]
    lines += [f"![{name}: {found['what']}](plots/{name}.svg)", ""]
    for point, measured in found["points"].items():
        said = sentences(measured)
        lines += [f"**{point} connections:**", "", *said, ""] if many else [*said, ""]
    if found["missing"]:
        told = (f"- {peer}: {_line(why)}" for peer, why in found["missing"].items())
        lines += ["Left out, or one round of it:", "", *told, ""]
    return "\n".join([*lines, place(found), ""])


def table(found: Found, beside: str = OURS[0]) -> list[str]:
    """A row a server at the only point; its CPU also over that of the server `beside`."""
    (measured,) = found["points"].values()
    names = [name for name in FIGURES if any(name in peer for peer in measured.values())]
    base = _of(measured, beside)
    heads = [FIGURES[name].head for name in names]
    if base and "cpu_us" in names:
        heads.insert(1, f"x {beside}")
    lines = [f"| server | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for peer, figures in measured.items():
        cells = [FIGURES[name].cell(figures[name]) for name in names]
        if base and "cpu_us" in names:
            ratio = figures["cpu_us"]["median"] / base["cpu_us"]["median"]
            cells.insert(1, f"{ratio:.2f}")
        lines.append(f"| {_named(peer)} | {' | '.join(cells)} |")
    return lines


def _by_point(found: Found) -> list[str]:
    """CPU by the number of connections: a row a server, a column a point."""
    points = found["points"]
    lines = [f"| CPU us at | {' | '.join(points)} |", "|---|" + "---:|" * len(points)]
    for peer in dict.fromkeys(peer for measured in points.values() for peer in measured):
        spreads = [measured.get(peer) for measured in points.values()]
        cells = [FIGURES["cpu_us"].cell(it["cpu_us"]) if it else "-" for it in spreads]
        lines.append(f"| {_named(peer)} | {' | '.join(cells)} |")
    return lines


def sentences(measured: Found) -> list[str]:
    """Who is better than megahertz, at what, and by how much."""
    ours = _of(measured, OURS[0])
    if ours is None:
        return ["- megahertz itself was not measured here."]
    said = [_sentence(measured, ours, figure) for figure in FIGURES if figure in ours]
    return [_first(measured, "cpu_us" if "cpu_us" in ours else "bytes"), *said]


def _first(measured: Found, figure: str) -> str:
    """The three that are best at it."""
    having = [(peer, it) for peer, it in measured.items() if figure in it]
    best = sorted(having, key=lambda item: item[1][figure]["median"])[:3]
    named = ", ".join(f"{_named(peer)} {_value(figure, it)}" for peer, it in best)
    return f"- Least {FIGURES[figure].head}: {named}."


def _value(figure: str, peer: Found) -> str:
    return FIGURES[figure].value(peer[figure]["median"]) + FIGURES[figure].unit


def _sentence(measured: Found, ours: Found, figure: str) -> str:
    kind, better = FIGURES[figure], _better(measured, ours, figure)
    said = f"- {kind.what} than megahertz ({_value(figure, ours)}): "
    return said + (", ".join(better) if better else "nobody here") + "."


def _better(measured: Found, ours: Found, figure: str) -> list[str]:
    return [
        _beaten(name, peer, ours, figure)
        for name, peer in measured.items()
        if not _is_ours(name) and name != FLOOR
        if _clearly(figure, peer.get(figure), ours[figure])
    ]


def _clearly(figure: str, theirs: Found | None, base: Found) -> bool:
    if theirs is None or not FIGURES[figure].is_better(theirs, base):
        return False
    far = abs(theirs["median"] - base["median"])
    return bool(far > WORTH * base["median"])


def _beaten(name: str, theirs: Found, ours: Found, figure: str) -> str:
    near = FIGURES[figure].ranged and overlap(theirs[figure], ours[figure])
    return f"**{name}** ({_value(figure, theirs)}{'; the rounds overlap' if near else ''})"


def place(found: Found) -> str:
    """Machine, method, date and versions."""
    method, machine = found["method"], found["machine"]
    versions = "; ".join(f"{name}: {said}" for name, said in found["versions"].items() if said)
    return (
        f"{found['when'][:10]}, commit {found['commit']}, `{found['command']}`, {machine['cpu']}, "
        f"{machine['cores']} cores, Linux {machine['kernel']}, load {machine['load']}; "
        f"{method['generator']}, {method['rounds']} interleaved rounds of "
        f"{method['seconds']:g} s, {method['cores']}.\n{versions}."
    )


def _of(measured: Found, name: str) -> Any:
    """That peer's figures, or those of what is compared on it (`FastAPI on megahertz`)."""
    return next((it for peer, it in measured.items() if peer.rpartition(" on ")[2] == name), None)


def _is_ours(name: str) -> bool:
    return name.rpartition(" on ")[2] in OURS


def _named(peer: str) -> str:
    return f"**{peer}**" if _is_ours(peer) else peer


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:200]
