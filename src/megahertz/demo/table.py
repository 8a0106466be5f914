"""The sale for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from megahertz.demo.measure import Figures
from megahertz.demo.sale import Sale
from megahertz.demo.traffic import CONNECTIONS
from megahertz.load import duration


def figures(sale: Sale) -> Table:
    """One line for each phase of each stage."""
    table = _table(f"flash sale, {CONNECTIONS} connections")
    for name in ("QPS", "P50", "P99", "P99.9", "failed", "CPU us", "CPU", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in sale.results:
        for phase, measured in result.figures.items():
            table.add_row(f"{result.stage.name} {phase}", *_cells(measured))
        table.add_section()
    return table


def _table(title: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False
    )
    table.add_column("", style="bold", no_wrap=True)
    return table


def _cells(measured: Figures) -> list[str]:
    return [
        f"{measured.qps:,.0f}",
        duration(measured.p50),
        duration(measured.p99),
        duration(measured.p999),
        f"[red]{measured.failed:,}" if measured.failed else "0",
        f"{measured.cpu_per_request * 1e6:,.0f}",
        f"{measured.cpu:.0%}",
        f"{measured.rss / 1e6:,.0f}",
    ]


def audits(sale: Sale) -> Table:
    """One line a shop: what buyers were told, what the database has."""
    table = _table("audit: what buyers were told, what the databases have")
    for name in ("accepted", "refused", "unknown", "stored", "of stock"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for result in sale.results:
        for phase, audit in result.audits.items():
            table.add_row(
                f"{result.stage.name} {phase}",
                f"{audit.acknowledged:,}",
                f"{audit.refused:,}",
                f"{audit.unknown:,}",
                f"{audit.stored:,}",
                f"{audit.units:,}",
                "[green]holds" if audit.ok else f"[red]{'; '.join(audit.findings)}",
            )
    return table
