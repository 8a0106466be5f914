"""The page in a browser: what it draws, not only what it says."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from megahertz.engine import Latencies
from megahertz.load import (
    Finding,
    Knee,
    Outcomes,
    Part,
    Plan,
    Sample,
    Step,
    Template,
    in_a_row,
    knee_page,
    page,
    threshold,
)
from megahertz.load.report import Report
from megahertz.load.svg import COLOURS, Axis, Line, linear, logarithmic, plot

WIDTH, HEIGHT = 1100, 2600


def sample(number, **changes):
    given = {"p50": 0.001, "p99": 0.003, "p999": 0.02, "busy": 1, "backlog": 0, "generator": 0.1}
    given |= {"rss": 50_000_000 + 1_000_000 * number, "cpu": 0.4, "tasks": 40.0, "lag": 0.001}
    given |= {"at": 0.2 * number, "seconds": 0.2, "rate": 1000.0 + number, "failed": number % 3}
    return Sample(**(given | changes))


SAMPLES = [sample(number) for number in range(1, 51)]


def histogram():
    latencies = Latencies()
    for microseconds in range(100, 3000):
        latencies.record(microseconds / 1e6)
    return latencies


def reported(**changes):
    part = Part("a", 10.0, Counter({200: 2890, 500: 10}), 10, Counter({"reset": 2}), histogram())
    mix = (Template(name="a", tag="<read>"),)
    return replace(
        Report(
            plan=Plan(url="http://h/?a=<b>", mix=mix),
            seconds=10.0,
            parts=(part,),
            total=part,
            troubles={"reset": "by <peer>"},
            answered=2900,
            connects=3,
            received=1000,
            sent=1000,
            generator=0.95,
            interrupted=True,
            outcomes=Outcomes(b"", 0),
            samples=SAMPLES,
            thresholds=(threshold("p99<1ms"), threshold("errors<5%")),
        ),
        **changes,
    )


@pytest.fixture(scope="module")
def browser():
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("chromium is missing: run tests/servers.sh, or apt-get install chromium")
    return found


def drawn(browser, folder, text):
    """The page as a browser shows it."""
    (folder / "page.html").write_text(text)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += [f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"]
    picture = folder / "page.png"
    subprocess.run(
        [browser, *options, f"--screenshot={picture}", (folder / "page.html").as_uri()],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with Image.open(picture) as image:
        return image.convert("RGB")


def plots_with(picture, colour):
    """Where a line of a colour is, from top to bottom: its pixels, of more than a legend has."""
    wanted = tuple(bytes.fromhex(colour[1:]))
    runs, last = [], None
    for at in range(picture.height):
        row = picture.crop((0, at, picture.width, at + 1)).getcolors(picture.width)
        count = {seen: n for n, seen in row}.get(wanted, 0)
        if count and last is not None and at - last <= 40:
            runs[-1] += count
        elif count:
            runs.append(count)
        last = at if count else last
    return [pixels for pixels in runs if pixels > 300]


def test_a_browser_draws_every_plot(browser, tmp_path):
    """Seven over time and one by percentile: each has its line across the page."""
    picture = drawn(browser, tmp_path, page(reported()))
    assert len(plots_with(picture, COLOURS[0])) == 8
    for colour in COLOURS[1:3]:  # p99 and p99.9 stand in the second plot only
        assert len(plots_with(picture, colour)) == 1


def test_a_browser_draws_nothing_where_nothing_was_measured(browser, tmp_path):
    empty = Part("a", 0.0)
    picture = drawn(browser, tmp_path, page(reported(samples=[], parts=(empty,), total=empty)))
    assert plots_with(picture, COLOURS[0]) == []


def knee():
    total = Part("a", 1.0, Counter({200: 100}), 0, Counter(), histogram())
    rule = Finding("a rule", 0.4, "so many <tasks>")
    cause = Finding("CPU", 0.2, "0.99 of 1 cores")
    steps = (
        Step(100, total, True, None, rule, SAMPLES[:5]),
        Step(200, total, False, cause, None, SAMPLES[:5]),
    )
    return Knee(100, 200, cause, steps)


def test_the_page_of_a_knee_has_its_steps_on_one_axis():
    text = knee_page("http://h/", knee())
    assert "so many &lt;tasks&gt;" in text
    assert "CPU at 0.2 s: 0.99 of 1 cores" in text
    assert text.count("<svg") == 7
    times = [each.at for each in in_a_row(knee().steps)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(2.0)


def test_a_page_is_whole_and_fetches_nothing():
    text = page(reported())
    assert "http://h/?a=&lt;b&gt;" in text
    assert "&lt;read&gt;" in text
    assert "by &lt;peer&gt;" in text
    assert "broken" in text
    assert "holds" in text
    assert "95%" in text
    for fetching in ("src=", "href=", "@import", "url(", "<script", "<link"):
        assert fetching not in text


NUMBER = st.just(0.0) | st.floats(1e-9, 1e12)


@given(st.lists(st.tuples(NUMBER, st.none() | NUMBER), max_size=20), st.booleans())
def test_any_line_is_drawn_within_its_plot(points, log):
    across = Axis(0.0, max([1.0, *(x for x, _ in points)]), 0.0, 1000.0)
    text = plot("a <title>", [Line("b", points)], across, unit=str, log=log)
    assert bool(text) == any(y is not None for _, y in points)
    if text:
        tree = ET.fromstring(text)
        for line in tree.iter("polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= 1000
                assert 34 <= y <= 164


def test_axes_have_round_ends_and_ticks():
    axis = linear([37.0])
    assert (axis.low, axis.high, axis.ticks(5)) == (0.0, 40.0, [0.0, 10.0, 20.0, 30.0, 40.0])
    assert linear([]).high == 1.0
    log = logarithmic([0.002, 0.0, 3.0])
    assert (log.low, log.high) == (0.001, 10.0)
    assert log.ticks(5) == pytest.approx([0.001, 0.01, 0.1, 1.0, 10.0])


def test_a_gap_parts_a_line_and_a_lonely_point_is_a_dot():
    points = [(0, 1.0), (1, 2.0), (2, None), (3, 1.0)]
    text = plot("t", [Line("", points)], Axis(0, 3, 0, 1000), unit=str)
    assert text.count("<polyline") == 1
    assert text.count("<circle") == 1
