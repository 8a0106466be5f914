import json

import pytest
from rich.console import Console

from megahertz.errors import BadSettings
from megahertz.load import compare, comparison


def written(folder, name, **changes):
    latency = dict.fromkeys(["mean", "p50", "p90", "p99", "p999", "max"], 0.001)
    data = {"url": "http://h/", "connections": 8, "qps": 100.0, "requests": 1000}
    data |= {"unexpected": 0, "failures": {}, "latency": latency, "names": {}}
    file = folder / name
    file.write_text(json.dumps(data | changes))
    return file


def shown(found, within=0.05):
    console = Console(width=120)
    with console.capture() as text:
        console.print(comparison(found, within=within))
    return text.get()


def test_more_answers_and_less_time_are_better(tmp_path):
    slower = dict.fromkeys(["mean", "p50", "p90", "p99", "p999", "max"], 0.002)
    one = written(tmp_path, "one.json")
    two = written(tmp_path, "two.json", qps=150.0, latency=slower, failures={"reset": 1000})
    found = compare(one, two)
    by_name = {each.name: each for each in found.differences}
    assert by_name["answers/s"].worse == pytest.approx(-0.5)
    assert by_name["p99"].worse == pytest.approx(1.0)
    assert by_name["errors"].after == 0.5
    assert found.worst() == float("inf")
    assert "+50.0%" in shown(found)
    assert "1 ms" in shown(found)


def test_the_same_is_no_change(tmp_path):
    file = written(tmp_path, "one.json")
    assert compare(file, file).worst() == 0
    assert compare(file, file).unlike == {}


def test_requests_of_both_are_compared_by_name(tmp_path):
    def part(qps):
        latency = dict.fromkeys(["mean", "p50", "p90", "p99", "p999", "max"], 0.001)
        return {"qps": qps, "latency": latency}

    one = written(tmp_path, "one.json", names={"a": part(10), "b": part(5), "c": part(1)})
    two = written(tmp_path, "two.json", names={"a": part(20), "b": part(5)})
    changes = {each.name: each.change for each in compare(one, two).differences}
    assert changes["a: answers/s"] == 1.0
    assert changes["b: p99"] == 0.0
    assert "c: p99" not in changes


def test_what_was_asked_differently_is_told(tmp_path):
    one, two = written(tmp_path, "one.json"), written(tmp_path, "two.json", connections=9, rate=5)
    assert compare(one, two).unlike == {"connections": (8, 9), "rate": (None, 5)}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"qps": 1}', "5"])
def test_what_is_no_report_is_refused(tmp_path, text):
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(BadSettings, match=r"bad.json: not a report"):
        compare(file, file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadSettings, match=r"none.json: No such file"):
        compare(tmp_path / "none.json", tmp_path / "none.json")
