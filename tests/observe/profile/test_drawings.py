"""What is made of recordings: files that others read, and drawings that hurt nobody."""

import xml.etree.ElementTree as ET

import msgspec
import pytest

from megahertz.observe import Span, profile
from megahertz.observe.profile import Cost, Frame, Recording, Slice, Stack, Track
from megahertz.observe.profile.lanes import lanes_of

EVIL = "<script>alert(1)</script>&\"'"
SVG = "{http://www.w3.org/2000/svg}"


def recording(pid=7, **changes):
    frames = [Frame("handler", "/srv/shop.py", 3), Frame(EVIL, "/srv/price.py", 9)]
    frames += [Frame("sleep", "<frozen x>", 1)]
    given = {
        "frames": frames,
        "running": [
            Stack(
                route="GET /", span="price", thread="", frames=[0, 1], held=2.0, cpu=1.0, count=4
            ),
            Stack(route="GET /", span="", thread="", frames=[0], held=1.0, count=2),
            Stack(route="(engine)", span="", thread="", frames=[], held=0.001, count=1),
        ],
        "waiting": [
            Stack(route=EVIL, span="", thread="", frames=[0, 2], held=4.0, count=40),
        ],
        "loop": [
            Slice(at=0.0, seconds=2.0, label="GET /", where="/srv/shop.py:3 in handler"),
            Slice(at=3.0, seconds=0.00001, label="too thin"),
        ],
        "blocked": [Slice(at=0.0, seconds=2.0, label="GET /", where="/srv/shop.py:3 in handler")],
        "pauses": [Slice(at=1.0, seconds=0.1, label="generation 2")],
        "lags": [(0.0, 2.0), (2.0, 0.001)],
        "tracks": [
            Track(
                label=EVIL,
                path="/",
                began=0.0,
                parts=[Slice(at=0.5, seconds=3.0, label=EVIL, where=EVIL)],
            ),
            Track(label="GET /none", path="/", began=0.0, parts=[]),
        ],
        "spans": [
            span("GET /", 1.0, 2.0),
            span("price", 1.2, 1.5),
            span("GET /later", 2.5, 3.0, trace="b"),
            span("GET /beside", 1.5, 3.0, trace="c"),
        ],
    }
    cost = Cost(thread=0.01, loop=0.01, wanted=500, taken=480)
    return Recording(pid=pid, began=10**18, seconds=5.0, cost=cost, **(given | changes))


def span(name, begins, ends, trace="a"):
    began, ended = (10**18 + int(at * 1e9) for at in (begins, ends))
    return Span(trace=trace * 32, span="1" * 16, name=name, began=began, ended=ended)


def test_what_it_comes_to():
    found = profile.findings([recording(7), recording(8)])
    blocks, waits, *runs = found
    assert (blocks.kind, blocks.route, blocks.count) == ("blocks", "GET /", 2)
    assert (blocks.seconds, blocks.longest, blocks.share) == (4.0, 2.0, 0.4)
    assert (waits.kind, waits.route, waits.seconds, waits.count) == ("waits", EVIL, 8.0, 80)
    assert waits.where == "/srv/shop.py:3 in handler"
    assert [(one.seconds, one.where) for one in runs] == [
        (4.0, f"/srv/price.py:9 in {EVIL}"),
        (2.0, "/srv/shop.py:3 in handler"),
    ]


def test_nothing_comes_to_nothing():
    assert profile.findings([]) == []
    empty = Recording(pid=1, began=0, cost=Cost())
    for drawn in (profile.flame([]), profile.flame([empty]), profile.timeline([empty])):
        ET.fromstring(drawn)
    ET.fromstring(profile.timeline([]))
    assert profile.speedscope([])["profiles"] == []
    assert profile.trace_events([])["traceEvents"] == []


def titles(drawn):
    root = ET.fromstring(drawn)
    assert not list(root.iter(f"{SVG}script"))
    return [it.text for it in root.iter(f"{SVG}title")], root


def test_a_flame_graph_has_the_route_below_and_what_it_calls_above():
    found, root = titles(profile.flame([recording()]))
    rows = {}
    for group in root.iter(f"{SVG}g"):
        rect, title = group.find(f"{SVG}rect"), group.find(f"{SVG}title").text
        rows[title.partition(":")[0]] = (float(rect.get("y")), float(rect.get("width")))
    bottom, route, named = rows["what ran"], rows["GET /"], rows["span price"]
    assert bottom[0] > route[0] > named[0]
    assert named[1] / route[1] == pytest.approx(2 / 3, abs=0.01)
    assert any(EVIL in title for title in found)
    assert not any("(engine)" in title for title in found)


def test_a_timeline_shows_the_loop_what_made_it_late_and_requests():
    found, _ = titles(profile.timeline([recording(7), recording(8)]))
    assert found[0] == "Timeline: 5.0 s of 7, 8"
    for told in ("GET /: 2000.0 ms", "generation 2", "price: 300.0 ms", EVIL):
        assert any(told in title for title in found), told
    assert not any("too thin" in title for title in found)
    assert sum("/srv/shop.py:3 in handler" in title for title in found) == 4


def test_requests_that_do_not_overlap_share_a_row():
    rows = [[one.label for one in lane] for lane in lanes_of(recording())]
    assert rows == [[EVIL], ["GET /", "price", "GET /later"], ["GET /beside"]]


def test_speedscope_reads_it():
    """The schema's rules: every sample has a weight, and frames that there are."""
    document = profile.speedscope([recording()])
    frames = document["shared"]["frames"]
    assert [it["name"] for it in document["profiles"]] == [
        "what ran, process 7",
        "where requests waited, process 7",
    ]
    for one in document["profiles"]:
        assert len(one["samples"]) == len(one["weights"])
        assert one["endValue"] == sum(one["weights"])
        assert all(0 <= number < len(frames) for sample in one["samples"] for number in sample)
    first = [frames[number]["name"] for number in document["profiles"][0]["samples"][0]]
    assert first == ["GET /", "span price", "handler", EVIL]
    assert {"name": "handler", "file": "/srv/shop.py", "line": 3} in frames


def test_perfetto_reads_it():
    """The rules of the Trace Event Format: a phase, a process and a time each."""
    later = recording(8)
    later.began += 10**9
    events = profile.trace_events([recording(7), later])["traceEvents"]
    assert msgspec.json.decode(msgspec.json.encode(events)) == events
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    assert all("ts" in event for event in events if event["ph"] != "M")
    price = [event for event in events if event["name"] == "price"]
    assert [event["ts"] for event in price] == [pytest.approx(1.2e6)] * 2, "clocks are the world's"
    assert price[0]["args"] == {"trace": "a" * 32}
    pauses = [event["ts"] for event in events if event["name"] == "generation 2"]
    assert pauses == [pytest.approx(1e6), pytest.approx(2e6)]
    assert {event["args"]["name"] for event in events if event["name"] == "process_name"} == {
        "worker 7",
        "worker 8",
    }
