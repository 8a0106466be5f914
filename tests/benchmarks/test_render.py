from xml.etree import ElementTree

import pytest

from benchmarks.compare import page, section
from benchmarks.plot import plot
from benchmarks.render import rendered
from benchmarks.result import newest, save
from benchmarks.work import WORKS

from .samples import sample


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for name in WORKS:
        save(sample(name), folder)
    return folder


def test_rendering_twice_gives_the_same(results):
    assert rendered(results) == rendered(results)


def test_every_work_has_a_section_a_picture_and_its_place(results):
    files = rendered(results)
    text = files["docs/compare.md"]

    for name, work in WORKS.items():
        assert f"## {name}: {work.what}" in text
        assert f"docs/plots/{name}.svg" in files
    assert text.count("Some CPU, 2 cores, Linux 6.1") == len(WORKS)
    assert "| floor |" in files["README.md"]


def test_the_newest_result_counts(tmp_path):
    save(sample("hello", "2026-01-02T03:04:05+00:00"), tmp_path)
    save(sample("hello", "2026-01-10T00:00:00+00:00"), tmp_path)
    save(sample("hello", "2025-12-31T00:00:00+00:00"), tmp_path)

    assert newest("hello", tmp_path)["when"].startswith("2026-01-10")


def test_the_page_says_where_a_peer_wins():
    cpu = dict.fromkeys(WORKS["hello"].peers, 30.0) | {"fasthttp": 9.0, "megahertz": 20.0}
    cpu |= {"floor": 1.0}

    found = sample("hello", **cpu)
    text = section(found)

    assert "- Least CPU us: floor 1.00 us, fasthttp 9.00 us, **megahertz** 20.00 us." in text
    assert "- Less CPU a request than megahertz (20.00 us): **fasthttp** (9.00 us)." in text
    assert "in 1:\n\n- hello (20.00 us): **fasthttp** (9.00 us)." in page([found], [])


def test_the_page_says_where_nobody_wins_and_where_rounds_overlap():
    cpu = dict.fromkeys(WORKS["hello"].peers, 30.0) | {"megahertz": 20.0}
    alone = section(sample("hello", **cpu))
    near = section(sample("hello", **cpu | {"fasthttp": 19.0}))

    assert "- Less CPU a request than megahertz (20.00 us): nobody here." in alone
    assert "Loads measured: 1; a peer spends less CPU a request than megahertz in 0." in page(
        [sample("hello", **cpu)], []
    )
    assert "**fasthttp** (19.00 us; the rounds overlap)" in near


def test_what_is_within_two_percent_is_no_win():
    cpu = dict.fromkeys(WORKS["hello"].peers, 30.0) | {"megahertz": 20.0, "Gin": 19.8}

    assert "(20.00 us): nobody here." in section(sample("hello", **cpu))


def test_a_peer_that_is_missing_is_named_with_its_reason():
    found = sample("hello")
    found["missing"] = {"Robyn": "pip failed:\nno | such version"}

    assert "- Robyn: pip failed: no / such version" in section(found)


@pytest.mark.parametrize("name", WORKS)
def test_a_picture_is_well_formed_and_has_every_peer(name):
    root = ElementTree.fromstring(plot(sample(name)))

    texts = {item.text for item in root.iter("{http://www.w3.org/2000/svg}text")}
    assert set(WORKS[name].peers) <= texts
    assert "prefers-color-scheme:dark" in ElementTree.tostring(root, encoding="unicode")
