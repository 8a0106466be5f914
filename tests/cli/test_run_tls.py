import socket
import ssl

import pytest
import trustme

from .test_restart import reload

ANY = ("--host", "127.0.0.1", "--port", "0")


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A root, and the options for a certificate of it."""
    root, folder = trustme.CA(), tmp_path_factory.mktemp("tls")
    issued = root.issue_cert("127.0.0.1")
    (folder / "chain.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    return root, ("--tls-cert", folder / "chain.pem", "--tls-key", folder / "key.pem")


def ask(url: str, context: ssl.SSLContext, session=None) -> ssl.SSLSocket:
    host, port = url.removeprefix("https://").split(":")
    sock = context.wrap_socket(
        socket.create_connection((host, int(port)), 20), server_hostname=host, session=session
    )
    sock.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"200 OK" in sock.recv(4096)
    return sock


def test_workers_share_their_sessions(serve, identity):
    root, options = identity
    context = ssl.create_default_context()
    root.configure_trust(context)
    served = serve("shop:app", *ANY, "--workers", "2", *map(str, options)).wait_for_url()

    assert served.url.startswith("https://")
    with ask(served.url, context) as first:
        session = first.session
    for _ in range(10):  # whichever worker it is
        with ask(served.url, context, session) as sock:
            assert sock.session_reused
            session = sock.session
    assert reload(served.process.pid).returncode == 0
    with ask(served.url, context, session) as sock:
        assert sock.session_reused, "by a new generation"
    assert served.end() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tls-cert", "missing.pem", "--tls-key", "missing.key"], "missing.pem: No such file"),
        (["--tls-cert", "missing.pem"], "belong together"),
        (["--tls-client-ca", "root.pem"], "needs --tls-cert"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(serve, options, message):
    served = serve("shop:app", *ANY, *options)

    assert served.process.wait(20) == 3
    assert message in served.process.stderr.read()
