"""A picture of a server as text: for `mhz top`."""

import time
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from megahertz.observe import Slow, Snapshot

LINES = 8
"""Of each list, where the terminal's height does not say."""


def drawn(picture: Snapshot, *, height: int | None = None, title: str = "") -> RenderableType:
    """All of it, the most important first.

    Args:
        picture: of the server.
        height: lines that there are; what does not fit is left out.
        title: what it is.
    """
    room = LINES if height is None else max(3, (height - 14) // 4)
    parts: list[RenderableType] = [_totals(picture, title), _routes(picture, room * 2)]
    parts += [_workers(picture, room * 2)]
    for part in (_rules, _refusals, _held, _slow, _events):
        if table := part(picture, room):
            parts += [table]
    parts += [Text(note, style="dim") for note in picture.notes]
    spaced = [piece for part in parts for piece in (part, Text(""))]
    return Group(*spaced[:-1])


def _totals(picture: Snapshot, title: str) -> Text:
    seen = picture.totals
    text = Text()
    text.append(f"{title}  " if title else "", "bold")
    text.append(time.strftime("%H:%M:%S", time.localtime(picture.at)))
    for label, value, style in (
        ("requests/s", _rate(seen.rate), "bold"),
        ("P50", _seconds(seen.p50), "bold"),
        ("P99", _seconds(seen.p99), "bold"),
        ("running", str(seen.running), "bold"),
        ("5xx/s", _rate(seen.failed), "bold red" if seen.failed else "bold"),
        ("refused/s", _rate(seen.refused), "bold yellow" if seen.refused else "bold"),
    ):
        text.append(f"  {label} ")
        text.append(value, style)
    return text


def _table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table | None:
    """Columns that begin with `<` are text, the others figures."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    for column in columns:
        name, left = column.removeprefix("<"), column.startswith("<")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in rows:
        # Text, not str: what comes from requests is no markup, and moves no cursor.
        table.add_row(*(it if isinstance(it, Text) else Text(printable(it)) for it in row))
    return table if table.row_count else None


def printable(text: str) -> str:
    """Text on one line that moves no cursor."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _routes(picture: Snapshot, room: int) -> RenderableType:
    columns = ("<route", "req/s", "P50", "P99", "running", "4xx/s", "5xx/s", "gone/s", "refused/s")
    rows = [
        (
            one.route,
            _rate(one.rate),
            _seconds(one.p50),
            _seconds(one.p99),
            str(one.running),
            _rate(one.classes.get("4xx", 0.0)),
            Text(_rate(failed := one.classes.get("5xx", 0.0)), "red" if failed else ""),
            _rate(one.classes.get("gone", 0.0)),
            Text(_by_rule(one.refused), "yellow" if one.refused else ""),
        )
        for one in picture.routes[:room]
    ]
    return _table(columns, rows) or Text("no route has counted anything", "dim")


def _workers(picture: Snapshot, room: int) -> RenderableType:
    columns = (
        "worker",
        "CPU",
        "memory",
        "lag",
        "tasks",
        "running",
        "conns",
        "threads",
        "files",
        "<",
    )
    rows = [
        (
            str(one.pid),
            f"{one.cpu:.0%}",
            f"{one.memory / (1 << 20):.0f} MiB",
            Text(_seconds(one.lag), "red" if (one.lag or 0.0) > 0.1 else ""),
            _count(one.tasks),
            _count(one.running),
            _count(one.connections),
            str(one.threads),
            _count(one.files),
            Text(f"blocked at {one.blocked}" if one.blocked else "", "red"),
        )
        for one in picture.workers[:room]
    ]
    return _table(columns, rows) or Text("no worker", "dim")


def _rules(picture: Snapshot, room: int) -> Table | None:
    marks = {"closed": "green", "open": "red"}
    rows: list[Sequence[str | Text]] = [
        (
            f"breaker {one.name}",
            Text(one.state, marks.get(one.state, "yellow")),
            f"{one.failures} of {one.calls} failed; opened: {one.opened}",
            str(one.refused),
        )
        for one in picture.breakers
    ]
    rows += [
        (one.name, "by key" if one.left is None else f"{one.left} left", one.law, str(one.refused))
        for one in picture.limits
    ]
    return _table(("<rule", "<now", "<what", "refused"), rows[:room])


def _refusals(picture: Snapshot, room: int) -> Table | None:
    rows = [
        (
            _clock(one.at),
            one.rule + (" (observed)" if one.observed else ""),
            one.route,
            one.id,
            ", ".join(f"{name} {_figure(value)}" for name, value in one.figures.items()),
        )
        for one in picture.refusals[:room]
    ]
    return _table(("refused", "<by", "<route", "<request", "<decided by"), rows)


def _held(picture: Snapshot, room: int) -> Table | None:
    rows = [
        (_seconds(one.seconds), one.route or one.path, one.where) for one in picture.held[:room]
    ]
    return _table(("waits for", "<request", "<at"), rows)


def _slow(picture: Snapshot, room: int) -> Table | None:
    rows = [
        (_seconds(one.seconds), one.name, _count(one.status), _parts(one), one.trace)
        for one in picture.slow[:room]
    ]
    return _table(("slowest", "<request", "status", "<of that", "<trace"), rows)


def _parts(slow: Slow) -> str:
    """The longest spans below the request's."""
    below = sorted((it for it in slow.spans if it.kind != "server"), key=lambda it: -it.seconds)
    return ", ".join(f"{it.name} {_seconds(it.seconds)}" for it in below[:3])


def _events(picture: Snapshot, room: int) -> Table | None:
    rows = [
        (
            _clock(one.at),
            Text(one.level, "yellow" if one.level == "warning" else "red"),
            str(one.count),
            one.message.partition("\n")[0],
            one.where,
        )
        for one in picture.events[:room]
    ]
    return _table(("when", "<level", "times", "<message", "<at"), rows)


def _by_rule(refused: dict[str, float]) -> str:
    return ", ".join(f"{rule} {_rate(value)}" for rule, value in refused.items()) or "0"


def _rate(value: float) -> str:
    return f"{value:,.1f}" if 0 < value < 10 else f"{value:,.0f}"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _figure(value: float | None) -> str:
    return "any" if value is None else f"{value:.4g}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.1f} s"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
