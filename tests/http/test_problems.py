import logging

import pytest
from starlette.exceptions import HTTPException

from megahertz import App, HTTPError
from megahertz.errors import (
    BackendError,
    DeadlineExceeded,
    Invalid,
    MalformedAnswer,
    MegahertzError,
    Overloaded,
    RemoteProtocolError,
    tree,
)
from megahertz.errors import (
    HTTPError as Chosen,
)
from megahertz.http.problems import problem, refusals, title
from megahertz.testing import Client


class Sold(Overloaded):
    """Everything is sold. Come back next year."""

    code = "shop.sold"
    status = 410


def raised(error):
    app = App()

    @app.get("/")
    async def handler() -> None:
        raise error

    with Client(app) as client:
        return client.get("/")


@pytest.mark.parametrize(
    "kind", [kind for kind in tree() if not issubclass(kind, Chosen)], ids=lambda kind: kind.code
)
def test_every_error_has_a_document(kind):
    reply = raised(kind.__new__(kind, "the text"))

    document = reply.json()
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.status_code == document["status"] == kind.status
    assert document["type"] == f"urn:megahertz:{kind.code}"
    assert document["title"] == title(kind)


def test_codes_are_unique():
    codes = [kind.code for kind in tree()]

    assert sorted(set(codes)) == sorted(codes)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Overloaded("the queue is full"), True),
        (DeadlineExceeded("1 s"), True),
        (BackendError("redis://user:password@host"), False),
        (MalformedAnswer("bad status line: SSH-2.0-OpenSSH"), False),
        (RemoteProtocolError("a message that is no JSON"), True),
        (MegahertzError("inside"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_was_written_for_the_client_is_told(error, told, caplog):
    with caplog.at_level(logging.ERROR, "megahertz"):
        reply = raised(error)

    assert ("detail" in reply.json()) is told
    assert (str(error) in caplog.text) is not told


def test_an_http_error_is_the_handlers_own_answer():
    reply = raised(HTTPError(418, "tea only", headers={"x-kettle": "on"}))

    assert reply.status_code == 418
    assert reply.headers["x-kettle"] == "on"
    assert reply.json() == {
        "type": "about:blank",
        "title": "I'm a Teapot",
        "status": 418,
        "code": "http",
        "detail": "tea only",
    }


def test_an_error_of_ones_own_brings_its_code_status_and_title():
    reply = raised(Sold("none left", retry_after=0.2))

    assert (reply.status_code, reply.headers["retry-after"]) == (410, "1")
    assert reply.json() == {
        "type": "urn:megahertz:shop.sold",
        "title": "Everything is sold",
        "status": 410,
        "code": "shop.sold",
        "detail": "none left",
    }


def test_invalid_lists_what_is_wrong():
    errors = [{"where": "query.x", "rule": "odd"}]

    reply = raised(Invalid("not valid", errors))

    assert reply.status_code == 422
    assert reply.json()["errors"] == errors


def test_starlettes_exception_is_understood(caplog):
    reply = raised(HTTPException(403, "not you", headers={"x-a": "b"}))

    assert (reply.status_code, reply.json()["detail"]) == (403, "not you")
    assert reply.headers["x-a"] == "b"
    assert caplog.text == ""


def test_a_header_of_an_error_that_cannot_be_sent_is_a_500(caplog):
    reply = raised(HTTPError(400, "x", headers={"x-bad": "a\r\nb"}))

    assert reply.status_code == 500


def test_the_engines_refusals_are_documents():
    for status, answer in refusals().items():
        assert answer.status_code == status
        assert (b"content-type", b"application/problem+json") in answer.raw_headers


def test_an_unknown_status_has_a_title():
    assert b'"title":"Status 499"' in problem(HTTPError(499)).body
