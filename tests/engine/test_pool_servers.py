"""The pool against servers that others wrote: nginx for HTTP/1.1, nghttpd for HTTP/2."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess

import pytest
import trustme

from megahertz.engine import ClientTlsConfig, Origin, Pool, PoolSettings
from megahertz.errors import ConnectError

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
    fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port}; root {folder}; keepalive_requests 10;
        client_max_body_size 1k; gzip on; gzip_min_length 1; gzip_types *;
    }}
}}
"""
BODY = bytes(range(256)) * 4096


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.fail(f"{name} is missing: run tests/servers.sh, or apt-get install {package}")
    return found


def started(make):
    """`make(port)`, and the port, which was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return subprocess.Popen(make(port), stderr=subprocess.DEVNULL), port


@contextlib.asynccontextmanager
async def running(pool: Pool, scheme: str, make):
    """Starts `make(port)`, again elsewhere where the port was taken meanwhile; its origin."""
    for _ in range(5):
        process, port = started(make)
        origin = Origin(scheme, "127.0.0.1", port)
        try:
            if await answers(pool, origin, process):
                yield origin
                return
        finally:
            process.kill()
            process.wait()
    pytest.fail("the server does not start")


async def answers(pool: Pool, origin: Origin, process) -> bool:
    """Waits until it does, or has ended."""
    while process.poll() is None:
        try:
            await pool.warm(origin)
        except ConnectError:
            await asyncio.sleep(0.01)
        else:
            return True
    return False


async def test_nginx(tmp_path):
    (tmp_path / "file").write_bytes(BODY)
    tmp_path.chmod(0o755)

    def make(port):
        config = tmp_path / "nginx.conf"
        config.write_text(NGINX.format(folder=tmp_path, port=port))
        return [program("nginx", "nginx-core"), "-p", tmp_path, "-c", config]

    pool = Pool()
    async with running(pool, "http", make) as origin:
        calls = [pool.send(origin, "GET", "/file") for _ in range(200)]
        assert {answer.body for answer in await asyncio.gather(*calls)} == {BODY}
        zipped = await pool.send(origin, "GET", "/file", [("accept-encoding", "gzip")])
        assert zipped.header("transfer-encoding") == "chunked" and zipped.body[:2] == b"\x1f\x8b"
        head = await pool.send(origin, "HEAD", "/file")
        assert (head.header("content-length"), head.body) == (str(len(BODY)), b"")
        part = await pool.send(origin, "GET", "/file", [("range", "bytes=1-3")])
        assert (part.status, part.body) == (206, b"\1\2\3")
        unread = await pool.send(origin, "POST", "/file", (), BODY * 8)
        assert unread.status == 413
        missing = await pool.send(origin, "GET", "/none", stream=True)
        assert missing.status == 404 and b"nginx" in b"".join([piece async for piece in missing])
        seen = pool.statistics()
        assert seen.dialled > 20  # nginx ended each after ten
        await pool.aclose()


@pytest.mark.parametrize("secure", [False, True])
async def test_nghttpd(tmp_path, secure):
    (tmp_path / "file").write_bytes(BODY)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    key, chain = tmp_path / "key", tmp_path / "chain"
    issued.private_key_pem.write_to_path(key)
    issued.cert_chain_pems[0].write_to_path(chain)
    nghttpd = program("nghttpd", "nghttp2-server")
    pool = Pool(
        PoolSettings(http2_prior_knowledge=True), tls=ClientTlsConfig(authority.cert_pem.bytes())
    )

    def make(port):
        rest = [key, chain] if secure else ["--no-tls"]
        options = ["-a", "127.0.0.1", "-d", tmp_path, "-m", "20", "--echo-upload"]
        return [nghttpd, *options, str(port), *rest]

    async with running(pool, "https" if secure else "http", make) as origin:
        calls = [pool.send(origin, "GET", "/file") for _ in range(100)]
        answers = await asyncio.gather(*calls)
        assert {answer.http_version for answer in answers} == {"HTTP/2"}
        assert {answer.body for answer in answers} == {BODY}
        echoed = await pool.send(origin, "POST", "/echo", (), BODY)
        assert echoed.body == BODY
        missing = await pool.send(origin, "GET", "/none")
        assert missing.status == 404
        await pool.aclose()
