import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest
from rich.console import Console

from megahertz.demo import STAGES, Audit, audits, figures, plot
from megahertz.demo.measure import Figures
from megahertz.demo.plot import Scale
from megahertz.demo.sale import Result, Sale


def measured(qps, **changes):
    given = {
        "qps": qps,
        "p50": 0.001,
        "p99": 0.02,
        "p999": 0.3,
        "failed": 0,
        "failures": {},
        "answered": 100,
        "accepted": 90,
        "cpu": 0.5,
        "cpu_per_request": 30e-6,
        "rss": 50_000_000,
    }
    return Figures(**(given | changes))


def books(findings=None):
    return Audit(
        acknowledged=90,
        refused=10,
        unknown=0,
        stored=90,
        unknown_stored=0,
        units=1000,
        sold=90,
        findings=findings or {},
    )


@pytest.fixture
def sale():
    sold = Sale(8.0, (0, 1))
    for stage, qps in zip(STAGES, (900, 1000, 28_000, 27_000), strict=True):
        both = {"orders": measured(qps), "rush": measured(qps * 2)}
        sold.results.append(Result(stage, both, {"orders": books(), "rush": books()}))
    return sold


def text(renderable):
    console = Console(width=80)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_the_picture_is_one_file_that_fetches_nothing(sale):
    page = plot(sale)
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert "<script" not in page


def test_the_picture_is_well_formed_and_shows_every_figure(sale):
    svg = re.search(r"<svg.*</svg>", plot(sale), re.DOTALL)[0]
    tags = Counter(element.tag for element in ElementTree.fromstring(svg).iter())
    legends, bars, points = 4, 8, 24
    assert tags["rect"] == legends + bars
    assert tags["circle"] == points
    for shown in ("900", "28,000", "54,000", "P99 20 ms"):
        assert shown in svg


def test_a_failed_audit_is_on_the_picture(sale):
    assert "The audit holds" in plot(sale)
    sale.results[0].audits["rush"] = books({"acknowledged and missing": [1]})
    assert "The audit fails" in plot(sale)


def test_nothing_measured_is_drawn_at_the_left_end(sale):
    sale.results[0].figures["orders"] = measured(0.0, p50=0.0, p99=0.0, p999=0.0)
    assert "nan" not in plot(sale)


def test_a_scale_is_logarithmic():
    scale = Scale([20.0, 5000.0], left=100, width=300)
    assert scale.ticks() == [10, 100, 1000, 10_000]
    assert [scale.at(tick) for tick in scale.ticks()] == [100, 200, 300, 400]


def test_the_json_is_what_the_interface_says(sale):
    data = sale.as_dict()
    assert [stage["name"] for stage in data["stages"]] == [stage.name for stage in STAGES]
    for stage in data["stages"]:
        assert {"name", "qps", "p50", "p99", "p999", "failed", "cpu", "rss"} <= set(stage)
    assert data["stages"][2]["qps"] == 28_000, "the orders phase is the headline"
    assert data["audit"]["ok"] is True
    assert data["ratio"] == pytest.approx(30)


def test_one_bad_book_fails_the_sale(sale):
    sale.results[3].audits["orders"] = books({"stored more than once": [7]})
    assert not sale.ok
    assert sale.as_dict()["audit"]["ok"] is False
    assert "stored more than once" in " ".join(text(audits(sale)).split())


def test_the_tables_fit_eighty_columns(sale):
    for table in (figures(sale), audits(sale)):
        shown = text(table)
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_one_stage_has_no_ratio(sale):
    del sale.results[1:]
    assert sale.ratio() is None
    assert "Flash sale" in plot(sale)
