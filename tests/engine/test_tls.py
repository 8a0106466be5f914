"""TLS as its clients see it: Python's ssl, with certificates made for the occasion."""

import asyncio
import contextlib
import socket
import ssl

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from megahertz.engine import Answer, Tls, server, ticket_secret
from megahertz.errors import BadSettings
from tests.engine.conftest import identity, until, whole

CA = trustme.CA()
"""One for the module: a key takes a while."""


@pytest.fixture
def tls(tmp_path):
    return Tls(certificates=[identity(tmp_path, "localhost", ca=CA)])


def client(**versions) -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    for name, value in versions.items():
        setattr(context, name, value)
    return context


async def hello(exchange):
    return f"secure={exchange.secure}"


async def connect(site, context=None, name="localhost"):
    return await site.peer(ssl=context or client(), server_hostname=name)


def details(peer) -> ssl.SSLObject:
    return peer.writer.get_extra_info("ssl_object")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_serve_and_keep_the_connection(serve, tls, version):
    async with serve({"GET /": hello}, tls=tls) as site:
        peer = await connect(site, client(minimum_version=version, maximum_version=version))
        for _ in range(3):
            assert (await peer.get("/")).body == b"secure=True"
        assert details(peer).version().replace(".", "_") == version.name


async def test_older_versions_are_refused(serve, tls):
    old = Tls(certificates=tls.certificates, only_13=True)
    context = client(maximum_version=ssl.TLSVersion.TLSv1_2)
    async with serve({"GET /": hello}, tls=old) as site:
        with pytest.raises(ssl.SSLError):
            await connect(site, context)


async def test_the_certificate_is_the_one_asked_for(serve, tmp_path):
    tls = Tls(
        certificates=[
            identity(tmp_path, "first.test", ca=CA),
            identity(tmp_path, "second.test", "*.wild.test", ca=CA),
        ]
    )
    shown = {}
    context = client(check_hostname=False)
    async with serve({"GET /": hello}, tls=tls) as site:
        for name in ("second.test", "SECOND.test", "a.wild.test", "a.b.wild.test", "other.test"):
            peer = await connect(site, context, name)
            names = details(peer).getpeercert()["subjectAltName"]
            shown[name] = names[0][1]
    second, first = "second.test", "first.test"
    assert list(shown.values()) == [second, second, second, first, first]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_goes_on_with_another_worker(serve, tls, version):
    context, secret = client(minimum_version=version, maximum_version=version), ticket_secret()
    reused = []

    def ask(port: int, session) -> ssl.SSLSession:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost", session=session) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"secure=True" in sock.recv(4096)
            reused.append(sock.session_reused)
            return sock.session

    async def session_of(secret, session):
        async with serve({"GET /": hello}, tls=tls, secret=secret) as site:
            return await asyncio.to_thread(ask, site.port, session)

    session = await session_of(secret, None)
    await session_of(ticket_secret(secret), session)
    await session_of(ticket_secret(), session)
    assert reused == [False, True, False]


@pytest.mark.parametrize("required", [True, False])
async def test_clients_show_a_certificate_of_the_right_root(serve, tmp_path, tls, required):
    root = trustme.CA()
    root.cert_pem.write_to_path(tmp_path / "root.pem")

    async def who(exchange):
        return str(len(exchange.peer_certificates))

    mutual = Tls(
        certificates=tls.certificates,
        client_ca=tmp_path / "root.pem",
        client_required=required,
    )
    known, stranger, nobody = client(), client(), client()
    root.issue_cert("friend").configure_cert(known)
    trustme.CA().issue_cert("stranger").configure_cert(stranger)
    async with serve({"GET /": who}, tls=mutual) as site:
        assert (await (await connect(site, known)).get("/")).body == b"1"
        for context, welcome in ((stranger, False), (nobody, not required)):
            # In TLS 1.3 the client learns it when it reads.
            if welcome:
                assert (await (await connect(site, context)).get("/")).body == b"0"
            else:
                with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                    await (await connect(site, context)).get("/")
        assert site.server.statistics().requests == (1 if required else 2)


async def test_changed_files_serve_new_connections_and_wrong_ones_nobody(
    serve, tmp_path, tls, monkeypatch, caplog
):
    monkeypatch.setattr(server, "CERTIFICATE_CHECK", 0.001)
    (chain, key), context = tls.certificates[0], client()
    caplog.set_level("INFO", "megahertz")

    async with serve({"GET /": hello}, tls=tls) as site:

        async def serial() -> str:
            return details(await connect(site, context)).getpeercert()["serialNumber"]

        old_peer, before = await connect(site, context), await serial()
        good = chain.read_bytes(), key.read_bytes()
        chain.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        await until(lambda: "the old certificates stay" in caplog.text)
        assert await serial() == before
        chain.write_bytes(good[0])
        (tmp_path / "new").mkdir()
        new_chain, new_key = identity(tmp_path / "new", "localhost", ca=CA)
        chain.write_bytes(new_chain.read_bytes())
        key.write_bytes(new_key.read_bytes())
        caplog.clear()
        await until(lambda: "new certificates are in use" in caplog.text)
        assert await serial() != before
        assert (await old_peer.get("/")).body == b"secure=True"


@pytest.mark.parametrize(
    ("chain", "key", "message"),
    [
        (None, "key", "No such file"),
        ("key", "key", "no certificate in PEM"),
        ("chain", "chain", "no private key"),
        ("chain", "other", "belongs to another certificate"),
    ],
)
def test_files_that_cannot_serve_are_named(tmp_path, chain, key, message):
    ours, other = identity(tmp_path, "a.test", ca=CA), identity(tmp_path, "b.test", ca=CA)
    paths = {"chain": ours[0], "key": ours[1], "other": other[1], None: tmp_path / "missing"}
    tls = Tls(certificates=[(paths[chain], paths[key])])

    with pytest.raises(BadSettings, match=message):
        tls.load(ticket_secret())


def test_no_certificate_and_no_secret_are_errors(tls):
    with pytest.raises(BadSettings, match="none"):
        Tls(certificates=[]).load(ticket_secret())
    with pytest.raises(BadSettings, match="secret"):
        tls.load(b"short")
    with pytest.raises(ValueError, match="none that"):
        ticket_secret(b"short")


async def test_bytes_that_are_no_tls_end_the_connection(serve, tls):
    async with serve({"GET /": hello}, tls=tls) as site:
        peer = await site.peer()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP" not in await peer.closed()
        statistics = site.server.statistics()
        assert (statistics.requests, statistics.refused) == (0, 1)


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "a beginning"])
async def test_a_handshake_has_the_time_of_a_head(serve, tls, sent):
    async with serve({"GET /": hello}, tls=tls, head_timeout=0.05) as site:
        peer = await site.peer()
        await peer.send(sent)
        assert await peer.closed() == b""


async def test_large_bodies_pass_both_ways(serve, tls):
    body = bytes(range(256)) * 20_000

    async def echo(exchange):
        return await whole(exchange)

    route = (echo, {"streams": True})
    async with serve({"POST /": route}, tls=tls, body_bytes=len(body)) as site:
        peer = await connect(site)
        for _ in range(2):
            await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
            sending = asyncio.create_task(peer.send(body))
            assert (await peer.reply()).body == body
            await sending


async def test_a_reader_that_rests_holds_the_writer_up(serve, tls):
    sent = []

    async def flood(exchange):
        exchange.start(200, [])
        while len(sent) < 2000:
            sent.append(None)
            if not exchange.write(bytes(10_000)):
                await exchange.drain()
        exchange.end()

    async with serve({"GET /": flood}, tls=tls) as site:
        peer = await connect(site)
        peer.writer.transport.pause_reading()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: site.server.statistics().running == 1 and len(sent) > 10)
        assert len(sent) < 2000
        peer.writer.transport.resume_reading()
        assert len((await peer.reply()).body) == 20_000_000


async def test_the_end_is_said_before_it_comes(serve, tls):
    def ask(port: int) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            client().wrap_socket(
                raw, server_hostname="localhost", suppress_ragged_eofs=False
            ) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while piece := sock.recv(4096):  # raises where the end was not announced
                data += piece
            return data

    async with serve({"GET /": hello}, tls=tls) as site:
        assert (await asyncio.to_thread(ask, site.port)).endswith(b"secure=True")


async def test_octet_by_octet_is_the_same(serve, tls):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client().wrap_bio(incoming, outgoing, server_hostname="localhost")

    async with serve({"GET /": hello}, tls=tls) as site:
        peer = await site.peer()

        async def until_done(act):
            while True:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        await peer.send(bytes([byte]))
                    incoming.write(await peer.reader.read(1))

        await until_done(session.do_handshake)
        session.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        data = b""
        while not data.endswith(b"secure=True"):
            data += await until_done(lambda: session.read(4096))


def test_no_bytes_harm_the_server(serve, tls):
    async def run(pieces: list[bytes]) -> None:
        async with serve({"GET /": hello}, tls=tls, head_timeout=0.01) as site:
            peer = await site.peer()
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    await peer.send(piece)
                    await asyncio.sleep(0)
                await peer.closed()
            assert site.server.statistics().panics == 0

    start = st.sampled_from([b"", b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03", b"\x16\x03\x03"])

    @settings(max_examples=30)
    @given(start, st.lists(st.binary(max_size=200), max_size=4))
    def check(first, pieces):
        asyncio.run(run([first, *pieces]))

    check()


async def test_files_are_read_and_sealed(serve, tls, tmp_path):
    content = bytes(range(256)) * 12_000
    (tmp_path / "file").write_bytes(content)

    async def ranges(exchange):
        answer = Answer()
        with (tmp_path / "file").open("rb") as file:
            answer.attach(file.fileno(), [b"<", (0, len(content)), b">", (5, 10)])
        return answer

    async with serve({"GET /": ranges}, tls=tls) as site:
        peer = await connect(site)
        for _ in range(2):
            assert (await peer.get("/")).body == b"<" + content + b">" + content[5:15]
