"""Files and folders of them, over a real socket: sendfile, conditions, ranges, what is refused."""

import email
import gzip
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import App, FileResponse
from megahertz.errors import BadSettings
from megahertz.http import ranges
from megahertz.http.encodings import choose
from megahertz.http.folder import Files
from megahertz.testing import Client

BIG = bytes(range(256)) * 12_000


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "site"
    (root / "sub").mkdir(parents=True)
    (root / ".well-known").mkdir()
    (root / "big.bin").write_bytes(BIG)
    (root / "a b.txt").write_text("text")
    (root / "empty.txt").write_text("")
    (root / "app.js").write_text("plain")
    (root / "app.js.gz").write_bytes(gzip.compress(b"plain"))
    (root / "app.js.br").write_bytes(b"brotli")
    (root / "index.html").write_text("home")
    (root / "sub/index.html").write_text("sub")
    (root / ".env").write_text("secret")
    (root / ".well-known/acme").write_text("token")
    (tmp_path / "outside.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "inner.txt").symlink_to(root / "a b.txt")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def client(folder):
    app = App()
    app.files("/static", folder, max_age=60)
    with Client(app) as client:
        yield client


def test_a_file_comes_whole_with_its_validators(client):
    reply = client.get("/static/big.bin")

    assert reply.content == BIG
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-length"] == str(len(BIG))
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["cache-control"] == "max-age=60"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert client.get("/static/big.bin").content == BIG  # now from the open file
    head = client.head("/static/big.bin")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(BIG)))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/static/a%20b.txt", b"text"),
        ("/static/empty.txt", b""),
        ("/static/inner.txt", b"text"),
        ("/static/", b"home"),
        ("/static/sub/", b"sub"),
        ("/static/.well-known/acme", b"token"),
    ],
)
def test_names(client, path, content):
    reply = client.get(path)

    assert (reply.status_code, reply.content) == (200, content)


def test_a_folder_wants_its_slash(client):
    reply = client.get("/static/sub")

    assert (reply.status_code, reply.headers["location"]) == (308, "/static/sub/")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../outside.txt",
        "/static/%2e%2e/outside.txt",
        "/static/sub/../../outside.txt",
        "/static/..%2foutside.txt",
        "/static/%2Fetc%2Fpasswd",
        "/static//etc/passwd",
        "/static/link.txt",
        "/static/.env",
        "/static/pipe",
        "/static/a%00b",
        "/static/..%5coutside.txt",
        "/static/sub/nothing",
        "/static/big.bin/",
        "/static/" + "x" * 300,
    ],
)
def test_what_is_not_a_file_of_the_folder_is_404(client, path):
    for _ in range(2):
        assert client.get(path).status_code == 404


def test_conditions(client):
    fresh = client.get("/static/big.bin").headers
    etag, modified = fresh["etag"], fresh["last-modified"]
    past = "Wed, 01 Jan 2020 00:00:00 GMT"

    def status(**fields: str) -> int:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return client.get("/static/big.bin", headers=headers).status_code

    assert status(if_none_match=etag) == 304
    assert status(if_none_match=f'"x", W/{etag}') == 304
    assert status(if_none_match="*") == 304
    assert status(if_none_match='"x"', if_modified_since=modified) == 200
    assert status(if_modified_since=modified) == 304
    assert status(if_modified_since=past) == 200
    assert status(if_modified_since="nonsense") == 200
    assert status(if_match=etag) == 200
    assert status(if_match=f"W/{etag}") == 412
    assert status(if_match='"x"') == 412
    assert status(if_match="*") == 200
    assert status(if_unmodified_since=modified) == 200
    assert status(if_unmodified_since=past) == 412
    not_modified = client.get("/static/big.bin", headers={"if-none-match": etag})
    assert (not_modified.content, not_modified.headers["etag"]) == (b"", etag)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=3000000-", 3_000_000, len(BIG)),
        ("bytes=-5", len(BIG) - 5, len(BIG)),
        ("bytes=0-99999999", 0, len(BIG)),
        ("BYTES = 5-9", 5, 10),
    ],
)
def test_a_range(client, asked, start, end):
    reply = client.get("/static/big.bin", headers={"range": asked})

    assert (reply.status_code, reply.content) == (206, BIG[start:end])
    assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BIG)}"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=a-b", "lines=1-2", "bytes=9-5", "bytes=-"])
def test_a_range_that_means_nothing_is_ignored(client, asked):
    assert client.get("/static/big.bin", headers={"range": asked}).status_code == 200


def test_ranges_that_would_cost_more_than_the_whole_are_ignored(client):
    for asked in ("bytes=" + ",".join(["0-1"] * 17), "bytes=0-,0-"):
        assert client.get("/static/big.bin", headers={"range": asked}).content == BIG


def test_a_range_outside_is_416(client):
    for asked in (f"bytes={len(BIG)}-", "bytes=-0"):
        reply = client.get("/static/big.bin", headers={"range": asked})
        assert reply.status_code == 416
        assert reply.headers["content-range"] == f"bytes */{len(BIG)}"


def test_several_ranges(client):
    reply = client.get("/static/big.bin", headers={"range": "bytes=0-9, 100-109, -3"})
    kind = reply.headers["content-type"].encode()
    message = email.message_from_bytes(b"content-type: " + kind + b"\r\n\r\n" + reply.content)
    parts = message.get_payload()

    assert reply.status_code == 206
    assert [part.get_payload(decode=True) for part in parts] == [BIG[:10], BIG[100:110], BIG[-3:]]
    assert parts[1]["content-range"] == f"bytes 100-109/{len(BIG)}"


def test_a_range_of_another_version_is_the_whole_one(client):
    fresh = client.get("/static/big.bin").headers
    for condition, status in (
        (fresh["etag"], 206),
        (fresh["last-modified"], 206),
        ('"old"', 200),
        ("Wed, 01 Jan 2020 00:00:00 GMT", 200),
    ):
        headers = {"range": "bytes=0-9", "if-range": condition}
        assert client.get("/static/big.bin", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("accepted", "coding", "content"),
    [
        ("", None, b"plain"),
        ("gzip, br", "br", b"brotli"),
        ("gzip;q=1, br;q=0.5", "gzip", gzip.compress(b"plain")),
        ("br;q=0", None, b"plain"),
        ("*", "br", b"brotli"),
        ("identity, br;q=0.5", None, b"plain"),
    ],
)
def test_a_precompressed_sibling(client, accepted, coding, content):
    reply = client.get("/static/app.js", headers={"accept-encoding": accepted})

    assert reply.headers.get("content-encoding") == coding
    assert reply.headers["vary"] == "accept-encoding"
    assert reply.headers["content-type"].startswith("text/javascript")
    if coding == "gzip":
        assert gzip.decompress(reply.content) == b"plain"
    else:
        assert reply.content == content


def test_a_change_is_seen_after_a_second(folder, monkeypatch):
    now = [0.0]
    files = Files(folder, clock=lambda: now[0])
    first = files._find("a b.txt")
    (folder / "a b.txt").write_text("longer text")
    assert files._find("a b.txt") is first
    now[0] = 1.5
    second = files._find("a b.txt")
    assert second is not first
    assert second.plain.file.size == 11
    now[0] = 3.0
    assert files._find("a b.txt") is second
    (folder / "a b.txt.gz").write_bytes(b"x")
    now[0] = 4.5
    assert list(files._find("a b.txt").coded) == ["gzip"]
    (folder / "a b.txt").unlink()
    assert files._find("a b.txt") is not None
    now[0] = 6.0
    assert files._find("a b.txt") is None


def test_files_kept_open_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("megahertz.http.folder.OPEN", 3)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("x")
    files = Files(tmp_path)
    for number in range(5):
        files._find(f"{number}.txt")

    assert list(files._entries) == ["2.txt", "3.txt", "4.txt"]


def test_a_folder_that_is_none():
    with pytest.raises(BadSettings, match="no such folder"):
        App().files("/", "nowhere")


def test_a_site_at_the_root_beside_routes(folder):
    app = App()
    app.files("/", folder)

    @app.get("/api")
    async def api() -> str:
        return "api"

    with Client(app) as client:
        assert client.get("/api").text == "api"
        assert client.get("/").text == "home"
        assert client.get("/sub/").text == "sub"


def test_a_handler_gives_a_file(folder):
    app = App()

    @app.get("/{name}")
    async def get(name: str) -> FileResponse:
        return FileResponse(folder / name, filename="grüße.bin", headers={"x-a": "b"})

    @app.get("/plain/{name}")
    def plain(name: str):
        return FileResponse(folder / name, 201)

    with Client(app) as client:
        reply = client.get("/big.bin")
        assert reply.content == BIG
        assert reply.headers["content-disposition"].endswith("utf-8''gr%C3%BC%C3%9Fe.bin")
        assert reply.headers["x-a"] == "b"
        assert client.get("/big.bin", headers={"range": "bytes=0-4"}).content == BIG[:5]
        assert client.get("/nothing").status_code == 404
        assert client.get("/pipe").status_code == 404
        reply = client.get("/plain/a%20b.txt")
        assert (reply.status_code, reply.text) == (201, "text")


def test_a_file_that_shrinks_while_it_is_sent_cuts_the_connection(folder):
    app = App()
    app.files("/", folder)
    (folder / "shrinks.bin").write_bytes(bytes(30_000_000))
    with Client(app) as client, client.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(b"GET /shrinks.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        received = len(peer.recv(1000))
        os.truncate(folder / "shrinks.bin", 10)
        try:
            while piece := peer.recv(65536):
                received += len(piece)
        except ConnectionResetError:
            pass
        assert received < 30_000_000
        assert client.get("/big.bin").content == BIG


@given(st.text(max_size=30) | st.from_regex(r"bytes=(\d{0,3}-\d{0,3},?){1,4}", fullmatch=True))
def test_every_range_given_lies_within(asked):
    try:
        parts = ranges.parse(asked, 100)
    except ranges.Unsatisfiable:
        return
    for start, length in parts or []:
        assert 0 <= start < start + length <= 100


@given(st.text(max_size=40))
def test_any_accept_encoding_has_an_answer(accepted):
    assert choose(accepted, ("br", "gzip")) in (None, "br", "gzip")


def test_weights():
    assert choose("gzip;q=0.8, zstd;q=0.9", ("br", "zstd", "gzip")) == "zstd"
    assert choose("gzip;q=x, br;q=2", ("br", "gzip")) is None
    assert choose("gzip", ()) is None
    assert choose(";q=1,", ("br",)) is None
