"""Forms with files, as the parser of this house and httpx's tests have them."""

import asyncio
import io
from email.parser import BytesParser

import pytest
from multipart import PushMultipartParser

from megahertz import Client
from megahertz.errors import LocalProtocolError, Misused

from .pools import Came, Scripted


def sent(**options):
    pool = Scripted(Came())
    asyncio.run(Client(pool=pool).post("http://a/", **options))
    return pool.sent[0]


def parts(request):
    """The head and the content of each part, read by somebody else."""
    kind = request.header("content-type")
    whole = BytesParser().parsebytes(f"content-type: {kind}\r\n\r\n".encode() + request.body)
    return [
        (dict(part.items()), part.get_payload(decode=True).rstrip(b"\r\n"))
        for part in whole.get_payload()
    ]


def test_fields_then_files():
    request = sent(
        data={"a": "1", "b": ["x", "y"]},
        files=[("f", ("one.txt", b"first")), ("f", ("two.bin", io.BytesIO(b"second"), "x/y"))],
    )
    found = parts(request)

    assert [content for _, content in found] == [b"1", b"x", b"y", b"first", b"second"]
    assert found[3][0] == {
        "Content-Disposition": 'form-data; name="f"; filename="one.txt"',
        "Content-Type": "text/plain",
    }
    assert found[4][0]["Content-Type"] == "x/y"
    assert "Content-Type" not in found[0][0]


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        (b"x", "upload", "application/octet-stream"),
        ("x", "upload", "application/octet-stream"),
        (("a.json", b"x"), "a.json", "application/json"),
        (("a.json", b"x", None), "a.json", "application/json"),
        ((None, b"x"), None, None),
        ((None, b"x", "x/y"), None, "x/y"),
        (("a", b"x", None, {"Content-Type": "own/one", "X-A": "1"}), "a", "own/one"),
    ],
)
def test_a_file_is_said_in_several_ways(file, name, kind):
    [(head, content)] = parts(sent(files={"f": file}))

    assert content == b"x"
    assert head["Content-Disposition"] == 'form-data; name="f"' + (
        "" if name is None else f'; filename="{name}"'
    )
    assert head.get("Content-Type") == kind


def test_a_file_has_its_own_name(tmp_path):
    path = tmp_path / "report.csv"
    path.write_bytes(b"a,b")
    with path.open("rb") as file:
        [(head, content)] = parts(sent(files={"f": file}))

    assert content == b"a,b"
    assert 'filename="report.csv"' in head["Content-Disposition"]


@pytest.mark.parametrize("files", [{"f": b"x"}, {"f": io.BytesIO(b"xyz")}], ids=["bytes", "file"])
def test_the_length_is_known_before_it_is_sent(files):
    request = sent(data={"a": "1"}, files=files)

    assert int(request.header("content-length")) == len(request.body)


def test_a_file_is_sent_from_where_it_stands():
    file = io.BytesIO(b"skipped-sent")
    file.seek(8)

    assert parts(sent(files={"f": file}))[0][1] == b"sent"


def test_a_file_without_a_size_is_sent_without_a_length():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.left = [b"one", b"two"]

        def read(self, size=-1):
            return self.left.pop(0) if self.left else b""

    request = sent(files={"f": Pipe()})

    assert request.header("content-length") is None
    assert parts(request)[0][1] == b"onetwo"


@pytest.mark.parametrize("name", ['a"b', "a\r\nX: y", "a\\b", "\u00fc", "a\x00b"])
def test_no_name_ends_its_field(name):
    """Read by the parser that reads forms here: still one part, of one name."""
    request = sent(data={name: "1"}, files={name: (name, b"x")})
    boundary = request.header("content-type").partition("boundary=")[2]
    with PushMultipartParser(boundary) as parser:
        found = [part for part in parser.parse(request.body) if hasattr(part, "name")]

    assert len(found) == 2
    assert {len(part.headerlist) for part in found} == {1, 2}
    if name == "\u00fc":
        assert found[0].name == name


def test_a_boundary_is_nobodys_guess():
    kinds = {sent(files={"f": b"x"}).header("content-type") for _ in range(20)}

    assert len(kinds) == 20


def test_what_is_no_file_is_refused():
    with pytest.raises(Misused):
        sent(files={"f": 7})
    with pytest.raises(LocalProtocolError):
        sent(files={"f": ("a", b"x", "x/y\r\nz: 1")})
