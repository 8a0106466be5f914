"""The URLs of the WHATWG's test suite (web-platform-tests, url/resources/urltestdata.json), as
httpx's source distribution has them, of the schemes that a client asks.

A URL that browsers refuse is refused; one that they take is refused too, or leads to the same
server and the same target. Never to another one: that is what attacks are made of.
"""

import json
import subprocess
from pathlib import Path

import pytest

from megahertz.errors import LocalProtocolError
from megahertz.http.client.location import PORTS, locate

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(900)

OTHER_TARGETS = {"http://host/?'"}
"""WHATWG encodes an apostrophe; RFC 3986 and httpx do not."""


@pytest.fixture(scope="module")
def urls():
    subprocess.run([ROOT / "tests/suites.sh"], check=True)
    told = json.loads((ROOT / ".venv-suites/httpx/tests/models/whatwg.json").read_text())
    return [case for case in told if not isinstance(case, str) and _is_absolute(case)]


def _is_absolute(case):
    return case.get("base") in (None, "about:blank")


def located(url):
    try:
        return locate(url)
    except LocalProtocolError:
        return None


def test_what_browsers_refuse_is_refused(urls):
    refused = [case["input"] for case in urls if case.get("failure")]

    assert len(refused) > 200
    assert [url for url in refused if located(url) is not None] == []


def test_what_is_taken_leads_where_browsers_go(urls):
    taken = 0
    for case in urls:
        place = located(case["input"])
        if case.get("failure") or place is None:
            continue
        scheme = case["protocol"].rstrip(":")
        port = int(case["port"] or PORTS[scheme])
        assert (place.origin.scheme, place.origin.host, place.origin.port) == (
            scheme,
            case["hostname"].strip("[]"),
            port,
        )
        if case["input"] not in OTHER_TARGETS:
            # A `?` with nothing behind it is sent as it is said.
            assert place.target.removesuffix("?") == case["pathname"] + case["search"]
        taken += 1

    assert taken > 75


def test_what_is_no_url_of_http_is_refused(urls):
    others = [case for case in urls if case.get("protocol") not in (None, "http:", "https:")]

    assert len(others) > 150
    assert [case["input"] for case in others if located(case["input"]) is not None] == []
