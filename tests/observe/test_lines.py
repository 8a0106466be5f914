"""Records as lines."""

import json

import pytest

from megahertz.engine import Route, TraceSource
from megahertz.observe.lines import LONGEST, Record, console_line, json_line
from megahertz.observe.secrets import HIDDEN, SECRETS


class Asked:
    headers = ((b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)

    def __init__(self, tag):
        self._tag = tag
        self.headers = list(Asked.headers)

    def header(self, name):
        return self._tag


def found(tag=None):
    route = Route(methods=("GET",), pattern="/{1}", path="/items/{sku}", endpoint=print)
    return TraceSource(0.0).of(Asked(tag), route)


def read(record):
    line = json_line(record, SECRETS)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    return json.loads(line)


def test_a_line_of_json():
    record = Record(1_700_000_000.25, "info", "shop", "sold\n2", {"sku": 7, "token": "x"})

    assert read(record) == {
        "time": "2023-11-14T22:13:20.250000Z",
        "level": "info",
        "logger": "shop",
        "message": "sold\n2",
        "sku": 7,
        "token": HIDDEN,
    }


def test_what_it_is_about():
    said = read(Record(0, "info", "shop", "sold", {"route": "mine"}, found=found("load-7")))

    assert said["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert len(said["span_id"]) == 16
    assert (said["route"], said["tag"]) == ("/items/{sku}", "load-7")


def test_the_span_at_hand_wins():
    assert read(Record(0, "info", "a", "b", found=found(), span="7" * 16))["span_id"] == "7" * 16


def test_of_a_message_there_is_no_route():
    carried = TraceSource(0.0).read(Asked.headers)

    assert "route" not in read(Record(0, "info", "a", "b", found=carried))


def raised():
    try:
        raise ValueError("why")
    except ValueError as error:
        return error


def test_an_error_has_its_traceback():
    told = read(Record(0, "error", "a", "b", error=raised()))["error"]

    assert told.startswith("Traceback")
    assert told.endswith("ValueError: why")


class Odd:
    def __repr__(self):
        raise KeyError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(Odd(), "<Odd: KeyError>"), ({1, 2}, [1, 2]), (2**70, 2**70), (print, repr(print))],
    ids=["odd", "set", "large", "function"],
)
def test_values_that_are_none_of_jsons(value, expected):
    assert str(read(Record(0, "info", "a", "b", {"value": value}))["value"]) == str(expected)


def test_surrogates_do_not_end_the_thread():
    assert read(Record(0, "info", "a", "\ud800"))["level"] == "info"


def test_a_message_has_an_end():
    assert len(read(Record(0, "info", "a", "x" * 99_999))["message"]) == LONGEST


def test_a_line_for_people():
    record = Record(0, "warning", "shop", "sold", {"sku": 7, "name": "a\nb"}, raised(), found())

    line = console_line(record, SECRETS).decode()

    first, *rest = line.splitlines()
    assert first[12:] == " WARNING sold route=/items/{sku} sku=7 name=a\\nb trace=4bf92f35"
    assert rest[-1] == "ValueError: why"


def test_no_control_character_reaches_the_terminal():
    line = console_line(Record(0, "info", "a", "\x1b[31m\r\ud800"), SECRETS)

    assert b"\x1b" not in line
    assert b"\r" not in line
