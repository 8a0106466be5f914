import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.errors import BadSettings
from megahertz.load import Stage, Stages, scenario
from megahertz.load.where import line

WHOLE = """
url = "http://127.0.0.1:8000/shop"   # paths below are of its host
connections = 8
think = "0.1-0.2"
env_mode = "staging"
seed = 7
data = { file = "users.csv", order = "random" }
expect = ["p99<50ms", "errors<0.1%"]

[[stages]]
connections = 4
seconds = 1.5

[[stages]]
connections = 8
seconds = 2
ramp = true

[[requests]]
name = "list"
path = "/items?page={rand:1-9}"
weight = 9
tag = "read"
[requests.headers]
accept = "application/json"

[[requests]]
name = "order"
path = "/orders"
json = { id = "{id}", user = "{csv:name}" }
statuses = "201,409"
expect = ["p99<80ms"]

[[requests]]
path = "/upload"
body_file = "body.bin"
headers = { Content-Type = "application/octet-stream" }
"""


def written(folder: Path, text: str) -> Path:
    (folder / "users.csv").write_text("name\nann\nbob\n")
    (folder / "body.bin").write_bytes(b"\x00\x01")
    file = folder / "load.toml"
    file.write_text(text)
    return file


def test_a_scenario_says_everything(tmp_path):
    read = scenario(written(tmp_path, WHOLE))
    plan = read.plan
    assert plan.stages == Stages("connections", (Stage(4, 1.5), Stage(8, 2, ramp=True)))
    assert (plan.duration, plan.connections, plan.seed, plan.env_mode) == (3.5, 8, 7, "staging")
    assert str(plan.think) == "0.1-0.2"
    assert plan.data.random
    assert plan.data.rows == [[b"ann"], [b"bob"]]
    one, two, three = plan.mix
    assert (one.title, one.method, one.weight, one.tag) == ("list", "GET", 9, "read")
    assert one.headers == (("accept", "application/json"),)
    assert (two.method, json.loads(two.body)["id"]) == ("POST", "{id}")
    assert two.headers == (("content-type", "application/json"),)
    assert two.expect == {201, 409}
    assert (three.body, three.title) == (b"\x00\x01", "POST /upload")
    assert three.headers == (("Content-Type", "application/octet-stream"),)
    assert [t.of for t in read.thresholds] == ["", "", "order"]


def test_a_url_is_enough(tmp_path):
    plan = scenario(written(tmp_path, 'url = "http://h/x"')).plan
    assert plan.requests()[0][1:3] == ("GET", "/x")


URL = 'url = "http://h/"\n'
BAD = {
    "syntax": ("url = ", "load.toml: not TOML: "),
    "no url": ("", "missing required field `url`"),
    "unknown": (URL + "\nsockets = 5", "load.toml:3: sockets: unknown key; allowed: url, "),
    "type": (URL + 'threads = "2"', "load.toml:2: threads: Expected `int`, got `str`"),
    "scheme": ('url = "ftp://h/"', "load.toml: 'ftp://h/': need http"),
    "range": (URL + "timeout = 0", "timeout=0.0: must be above 0"),
    "think": (URL + 'think = "soon"', "load.toml:2: think: 'soon': no think time"),
    "threshold": (URL + 'expect = ["p99<5"]', "load.toml:2: expect: 'p99<5': no threshold"),
    "weight": (
        URL + "[[requests]]\n[[requests]]\nweight = true",
        r"load.toml:4: requests\[1\].weight: Expected `float`, got `bool`",
    ),
    "request key": (
        URL + "[[requests]]\nurl = '/'",
        r"load.toml:3: requests\[0\].url: unknown key; allowed: name, method, path",
    ),
    "no weight": (
        URL + "[[requests]]\nweight = 0",
        r"load.toml:2: requests\[0\]: weight 0: must be above 0",
    ),
    "placeholder": (
        URL + "[[requests]]\n[[requests]]\nbody = '{rand:9-1}'",
        r"load.toml:3: requests\[1\]: \{rand:9-1\}: write \{rand:LO-HI\}",
    ),
    "column": (
        URL + 'data = { file = "users.csv" }\n[[requests]]\nbody = "{csv:user}"',
        r"load.toml:3: requests\[0\]: \{csv:user\}: no such column; the data has name",
    ),
    "statuses": (
        URL + "[[requests]]\nstatuses = '7xx'",
        r"load.toml:3: requests\[0\].statuses: '7xx': not a status",
    ),
    "two bodies": (
        URL + "[[requests]]\nbody = 'a'\njson = {}",
        r"load.toml:4: requests\[0\].json: body is the body already",
    ),
    "no body file": (
        URL + "[[requests]]\nbody_file = 'none'",
        r"load.toml:3: requests\[0\].body_file: none: No such file",
    ),
    "no stage": (
        URL + "[[stages]]\nseconds = 1",
        r"load.toml:2: stages\[0\]: needs either rate or connections",
    ),
    "both": (
        URL + "[[stages]]\nseconds = 1\nrate = 1\nconnections = 1",
        r"load.toml:2: stages\[0\]: needs either",
    ),
    "mixed": (
        URL + "[[stages]]\nseconds = 1\nrate = 1\n[[stages]]\nseconds = 1\nconnections = 1",
        "stages: all of them have a rate, or all have connections",
    ),
    "no time": (
        URL + "[[stages]]\nseconds = 0\nrate = 1",
        r"load.toml:2: stages\[0\]: .*seconds are above 0",
    ),
    "order": (
        URL + 'data = { file = "users.csv", order = "sorted" }',
        "load.toml:2: data.order: Invalid enum value 'sorted'",
    ),
    "no data": (URL + 'data = { file = "none.csv" }', "load.toml:2: data: .*No such file"),
    "contradiction": (URL + "rate = 1\n[[stages]]\nrate = 1\nseconds = 1", "stages have the rate"),
}


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_with_file_line_and_key(tmp_path, text, why):
    with pytest.raises(BadSettings, match=why):
        scenario(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(BadSettings, match=r"none.toml: No such file"):
        scenario(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(BadSettings, match=r"latin.toml: not UTF-8"):
        scenario(tmp_path / "latin.toml")


@given(st.text(max_size=200) | st.text(alphabet='urlequsts=[]{}".\n#1', max_size=80))
def test_any_text_is_a_scenario_or_refused_by_name(tmp_path, text):
    file = tmp_path / "any.toml"
    file.write_text(text, encoding="utf-8", errors="replace")
    found = None
    try:
        scenario(file)
    except BadSettings as error:
        found = error
    assert found is None or str(found).startswith(str(file))


WORD = st.text(string.ascii_letters + string.digits + "-_ ", min_size=1, max_size=12)
REQUEST = st.fixed_dictionaries(
    {"path": st.sampled_from(["/", "/a?b={n}", "/{id}/{uuid}"])},
    optional={
        "name": WORD,
        "tag": st.sampled_from(["read", "write"]),
        "weight": st.integers(1, 100),
        "body": st.text(string.printable, max_size=50),
        "statuses": st.sampled_from(["2xx", "200,409"]),
        "method": st.sampled_from(["GET", "PUT", "DELETE"]),
    },
)


@given(st.lists(REQUEST, min_size=1, max_size=4))
def test_what_is_written_is_what_is_read(tmp_path, requests):
    """JSON's strings and numbers are TOML's."""
    lines = ['url = "http://h/"']
    for request in requests:
        lines += ["[[requests]]", *(f"{key} = {json.dumps(v)}" for key, v in request.items())]
    file = tmp_path / "some.toml"
    file.write_text("\n".join(lines).replace("\x7f", ""))
    mix = scenario(file).plan.mix
    assert len(mix) == len(requests)
    for template, request in zip(mix, requests, strict=True):
        assert template.target == request["path"]
        assert template.weight == request.get("weight", 1)
        assert template.tag == request.get("tag", "")
        body = request.get("body")
        assert template.body == (None if body is None else body.encode())
        assert template.method == request.get("method", "GET" if body is None else "POST")


TEXT = """# a comment
a = 1
[t]
b.c = 2
[[list]]
x = 1
  y = 2
[[list]]
x = 3
[list.sub]
z = 4
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), 2),
        (("t", "b", "c"), 4),
        (("t", "none"), 3),
        (("list", 0, "y"), 7),
        (("list", 1, "x"), 9),
        (("list", 1, "sub", "z"), 11),
        (("list", 1, "none"), 8),
        (("none",), None),
    ],
)
def test_a_key_is_found_where_it_stands(path, expected):
    assert line(TEXT, path) == expected
