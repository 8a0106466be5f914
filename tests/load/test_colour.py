import re
from typing import NamedTuple

import pytest

from megahertz.errors import BadSettings
from megahertz.load import Plan, Template, data, drive, statuses


class Reply(NamedTuple):
    data: bytes
    then: str = "keep"


def reply(status):
    return Reply(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % status)


def plan(server, **changes):
    given = {"url": server.url, "connections": 4, "warmup": 0.0, "duration": 0.3, "timeout": 5.0}
    return Plan(**(given | changes))


MIX = (
    Template(target="/list", tag="read", weight=4, name="list"),
    Template(target="/item", tag="read", weight=2, name="item"),
    Template(target="/order", tag="write", name="order", expect=statuses("2xx,409")),
    Template(target="/gone", name="gone"),
)


def behave(asked):
    if asked.target == "/gone":
        return Reply(b"", then="close")
    return reply({"/order": 409, "/item": 500}.get(asked.target, 200))


def test_results_by_tag_and_by_name_add_up_to_the_total(serve):
    report = drive(plan(serve(behave), mix=MIX))
    tags, names = report.by_tag(), report.by_name()
    assert list(tags) == ["read", "write", "untagged"]
    assert list(names) == ["list", "item", "order", "gone"]
    for parts in (tags.values(), names.values()):
        for figure in ("requests", "failed", "unexpected"):
            assert sum(getattr(part, figure) for part in parts) == getattr(report, figure)
        assert sum(len(part.latencies) for part in parts) == len(report.latencies)
        assert sum(part.qps for part in parts) == pytest.approx(report.qps)
    assert report.unexpected == names["item"].requests > 0
    assert names["order"].failed == 0
    assert names["gone"].failures["closed"] == report.failures["closed"] > 0


def test_each_coloured_request_says_what_it_is(serve):
    server = serve(lambda asked: reply(200))
    drive(plan(server, mix=MIX, env_mode="staging"))
    traces = [asked.headers["x-trace-id"] for asked in server.log]
    assert len(set(traces)) == len(traces) > 4
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", t) for t in traces)
    tag = {"/list": "read", "/item": "read", "/order": "write", "/gone": "untagged"}
    assert all(asked.headers["x-traffic-tag"] == tag[asked.target] for asked in server.log)
    assert {asked.headers["x-env-mode"] for asked in server.log} == {"staging"}


def test_traffic_without_tags_has_no_colour(serve):
    server = serve(lambda asked: reply(200))
    report = drive(plan(server))
    assert report.by_tag() == {}
    assert not {"x-trace-id", "x-traffic-tag", "x-env-mode"} & set(server.log[0].headers)


def test_ones_own_colour_stays(serve):
    server = serve(lambda asked: reply(200))
    drive(plan(server, mix=(Template(tag="a", headers=(("X-Trace-ID", "mine-{n}"),)),)))
    assert "mine-0" in {asked.headers["x-trace-id"] for asked in server.log}
    assert {asked.headers["x-env-mode"] for asked in server.log} == {"load"}


@pytest.mark.parametrize("random", [False, True])
def test_rows_of_a_file_take_turns_or_are_drawn(serve, tmp_path, random):
    file = tmp_path / "users.csv"
    file.write_text('name,city\r\nann,"Bergen, Norway"\nbob,Bath\n\ncaz,Cork\n')
    server = serve(lambda asked: reply(200))
    template = Template(target="/{n}/{csv:name}", headers=(("x-city", "{csv:city}"),))
    drive(plan(server, mix=(template,), data=data(file, random=random)))
    city = {"ann": "Bergen, Norway", "bob": "Bath", "caz": "Cork"}
    seen = [asked.target.split("/")[1:] for asked in server.log]
    assert {name for _, name in seen} == set(city)
    assert all(
        asked.headers["x-city"] == city[name]
        for asked, (_, name) in zip(server.log, seen, strict=True)
    )
    in_turn = all(list(city)[int(number) % 3] == name for number, name in seen)
    assert in_turn != random


BAD = {
    "uneven": ("a,b\n1\n", "csv:2: 1 cells, the header has 2"),
    "no rows": ("a,b\n", "at least one row"),
    "empty": ("", "at least one row"),
    "open quote": ('a\n"x\n', "unexpected end of data"),
}


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_table_is_refused(tmp_path, text, why):
    file = tmp_path / "data.csv"
    file.write_text(text)
    with pytest.raises(BadSettings, match=why):
        data(file)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(BadSettings, match="No such file"):
        data(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"a\n\xe4\n")
    with pytest.raises(BadSettings, match="not UTF-8"):
        data(tmp_path / "latin.csv")


def test_an_unknown_column_is_refused_with_those_there_are(tmp_path):
    (tmp_path / "data.csv").write_text("user\nann\n")
    given = {"mix": (Template(target="/{csv:name}"),), "data": data(tmp_path / "data.csv")}
    with pytest.raises(BadSettings, match="the data has user"):
        drive(Plan(url="http://127.0.0.1:1/", **given))
