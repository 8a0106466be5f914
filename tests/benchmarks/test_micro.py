"""Steps of Rust within their budgets; `tests/servers.sh` installs valgrind."""

from io import StringIO

import pytest
from rich.console import Console

from benchmarks import micro
from benchmarks.build import Missing
from benchmarks.micro import Step, change, count, result, steps, table
from benchmarks.render import micro as rows
from benchmarks.steps import TARGETS

STEPS = steps()
RUST = [step for step in STEPS if step.rust]


@pytest.mark.parametrize("step", RUST, ids=lambda step: step.name)
def test_a_step_of_rust_is_within_its_budget(step):
    assert count(step) <= step.budget, "make bench WORK=micro says since when"


def test_a_count_is_the_same_again():
    (parse,) = [step for step in RUST if step.name == "parse"]

    assert count(parse) == pytest.approx(count(parse), rel=0.001)


@pytest.mark.parametrize("step", [it for it in STEPS if it.python], ids=lambda step: step.name)
def test_a_step_of_python_is_a_case_there_is(step):
    assert {step.python, step.less or step.python} <= set(TARGETS)


def test_a_step_that_fails_is_told():
    with pytest.raises(Missing, match="KeyError: 'nonsense'"):
        count(Step("x", "", 10, 0, python="nonsense"))


def test_without_valgrind_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")

    with pytest.raises(Missing, match="apt-get install valgrind"):
        count(Step("x", "", 10, 0, python="value"))


@pytest.fixture
def stored():
    return {"commit": "0123456789ab", "counts": {"parse": 1000.0, "route": 1000.0}}


def test_a_change_above_five_percent_is_flagged(stored):
    counts = {step.name: 1.0 for step in STEPS} | {"parse": 1060.0, "route": 1040.0}
    found = result(counts)
    console = Console(record=True, width=100, file=StringIO())

    console.print(table(found, stored))
    text = console.export_text()

    assert "+6.0% !" in text
    assert "+4.0%" in text
    assert "+4.0% !" not in text
    assert change(found, stored, "head") is None
    assert change(found, None, "parse") is None


def test_a_page_has_every_step_that_was_counted():
    lines = rows(result({step.name: 1234.5 for step in STEPS}))

    assert [line for line in lines if "1,234" in line] == lines[2 : 2 + len(STEPS)]


def test_a_step_above_its_budget_is_not_within(monkeypatch):
    console = Console(file=StringIO())
    monkeypatch.setattr(micro, "is_release", lambda: False)
    monkeypatch.setattr(micro, "newest", lambda name: None)
    monkeypatch.setattr(micro, "count", lambda step: step.budget)
    within = micro.measure(console)
    monkeypatch.setattr(micro, "count", lambda step: step.budget + 1)

    assert within
    assert not micro.measure(console)
