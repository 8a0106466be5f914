import socket
from typing import NamedTuple

import pytest

from megahertz.errors import BadSettings
from megahertz.load import Plan, Template, drive


class Reply(NamedTuple):
    data: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    then: str = "keep"


def plan(server, **changes):
    given = {"url": server.url, "connections": 3, "warmup": 0.0, "duration": 0.2, "timeout": 5.0}
    return Plan(**(given | changes))


def test_a_trusted_certificate_is_spoken_with(serve, tls, cacert):
    server = serve(lambda asked: Reply(), tls=tls())
    report = drive(plan(server, cacert=cacert))
    assert report.ok, report.troubles
    assert report.requests == len(server.log)
    assert report.connects == server.connections == 3


@pytest.mark.parametrize("size", [1, 300_000])
def test_bodies_of_any_size_go_both_ways(serve, tls, cacert, size):
    data = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (size, bytes(size))
    server = serve(lambda asked: Reply(data), tls=tls())
    mix = (Template(method="POST", body=b"x" * size),)
    report = drive(plan(server, cacert=cacert, mix=mix))
    assert report.ok, report.failures
    assert {len(asked.body) for asked in server.log} == {size}
    assert report.received >= report.requests * size


def test_a_stranger_is_refused_with_the_reason_unless_anyone_will_do(serve, tls):
    server = serve(lambda asked: Reply(), tls=tls())
    report = drive(plan(server))
    assert set(report.failures) == {"tls"}
    assert "UnknownIssuer" in report.troubles["tls"]
    assert report.connects == 0
    assert drive(plan(server, insecure=True)).ok


def test_a_certificate_for_another_name_is_refused(serve, tls, cacert):
    server = serve(lambda asked: Reply(), tls=tls("shop.example"))
    report = drive(plan(server, cacert=cacert))
    assert "not valid for" in report.troubles["tls"]


def test_the_server_is_told_the_name(serve, tls, cacert):
    context = tls("localhost")
    names = []
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    server = serve(lambda asked: Reply(), tls=context)
    report = drive(plan(server, url=f"https://localhost:{server.port}/", cacert=cacert))
    assert report.ok or "localhost" not in socket.getaddrinfo("localhost", 0)[0][4][0]
    assert set(names) == {"localhost"}


def test_a_server_without_tls_is_no_tls_server(serve):
    server = serve(lambda asked: Reply(b"400\r\n", then="close"))
    report = drive(plan(server, url=f"https://127.0.0.1:{server.port}/", timeout=0.2))
    assert report.requests == 0
    assert set(report.failures) <= {"tls", "connect_timeout", "reset"}


def test_a_connection_for_each_request_shakes_hands_for_each(serve, tls, cacert):
    server = serve(lambda asked: Reply(then="close"), tls=tls())
    report = drive(plan(server, cacert=cacert, keepalive=False))
    assert report.ok, report.failures
    # the last ones stood when there was nothing more to send
    assert 0 <= report.connects - len(server.log) <= 3
    assert {asked.headers["connection"] for asked in server.log} == {"close"}


@pytest.mark.parametrize(
    ("text", "why"), [("", "no CA certificate"), ("-----BEGIN CERTIFICATE-----\nx", "CA file")]
)
def test_a_ca_file_without_a_certificate_is_refused(tmp_path, text, why):
    file = tmp_path / "ca.pem"
    file.write_text(text)
    with pytest.raises(BadSettings, match=why):
        drive(Plan(url="https://127.0.0.1:1/", cacert=file))


def test_a_missing_ca_file_is_refused(tmp_path):
    with pytest.raises(BadSettings, match="No such file"):
        drive(Plan(url="https://127.0.0.1:1/", cacert=tmp_path / "none"))
