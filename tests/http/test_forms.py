"""Forms as browsers send them, and as attackers do."""

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz import App, HTTPError, Request, UploadFile
from megahertz.http import form_body, forms
from megahertz.testing import Client

URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


def app_of(handler) -> App:
    app = App()
    app.post("/", body_bytes=50_000_000)(handler)
    return app


def encode(data=None, files=None) -> tuple[bytes, dict[str, str]]:
    """By httpx: another implementation than the parser's."""
    request = httpx.Request("POST", "http://test/", data=data, files=files)
    return request.read(), {"content-type": request.headers["content-type"]}


def test_an_urlencoded_form():
    async def handler(request: Request):
        form = await request.form()
        return [form["a"], form.getlist("b"), form.get("c"), "b" in form, len(form)]

    with Client(app_of(handler)) as client:
        reply = client.post("/", content="a=%C3%BC+x&b=1&b=2", headers=URLENCODED)
        assert reply.json() == ["ü x", ["1", "2"], None, True, 2]


@pytest.mark.parametrize("size", [0, 10, 100_000, 3_000_000])
def test_fields_and_files(size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def handler(request: Request):
        async with request.form() as form:
            file = form["upload"]
            assert isinstance(file, UploadFile)
            head = await file.read(5)
            await file.seek(0)
            whole = await file.read()
            assert whole == content
            assert head == content[:5]
            described = [file.filename, file.content_type, file.size, file.file._rolled]
            described += [file.headers["content-type"], form["name"], form.getlist("tag")]
        assert file.file.closed
        return described

    body, headers = encode(
        {"name": "grüße", "tag": ["a", "b"]}, {"upload": ("ä.bin", content, "image/png")}
    )
    with Client(app_of(handler)) as client:
        reply = client.post("/", content=body, headers=headers)
        rolled = size > forms.SPOOL_BYTES
        expected = ["ä.bin", "image/png", size, rolled, "image/png", "grüße", ["a", "b"]]
        assert reply.json() == expected


def test_nothing_is_a_form_too():
    async def handler(request: Request):
        return (await request.form()).multi_items()

    with Client(app_of(handler)) as client:
        assert client.post("/", content="", headers=URLENCODED).json() == []


B = b"--x\r\nContent-Disposition: form-data; name="


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", None, 415),
        (b"", "multipart/form-data", 400),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (B + b'"a"\r\n\r\nhalf', "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\nno name\r\n--x--\r\n", "multipart/form-data; boundary=x", 400),
        (
            B + b'"a"\r\n\r\n' + b"x" * 1_048_577 + b"\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            413,
        ),
        (
            (B + b'"a"\r\n\r\n\r\n') * 1001 + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            413,
        ),
        (b"a=&" * 1001, "application/x-www-form-urlencoded", 413),
        (
            b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 5000 + b"\r\n\r\n\r\n--x--",
            "multipart/form-data; boundary=x",
            413,
        ),
    ],
)
def test_what_is_no_form_or_too_much_of_one(body, kind, status):
    async def handler(request: Request):
        await request.form()

    with Client(app_of(handler)) as client:
        headers = {} if kind is None else {"content-type": kind}
        assert client.post("/", content=body, headers=headers).status_code == status


def test_files_of_a_form_that_breaks_are_closed(monkeypatch):
    made = []

    class Watched(UploadFile):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(form_body, "UploadFile", Watched)
    part = B + b'"a"; filename="f"\r\n\r\ndata'

    async def broken(kind):
        yield part
        if kind == "left":
            raise asyncio.CancelledError
        if kind == "malformed":
            yield b"\r\n--xnonsense"

    for kind in ("left", "malformed", "short"):
        with pytest.raises((HTTPError, asyncio.CancelledError)):
            asyncio.run(_read(broken(kind)))
    assert len(made) == 3
    assert all(file.file.closed for file in made)


async def _read(stream):
    return await form_body.read_form("multipart/form-data; boundary=x", stream)


@given(
    st.dictionaries(st.text("abc", min_size=1), st.text(max_size=50), max_size=4),
    st.binary(max_size=200),
    st.integers(1, 50),
)
def test_the_way_it_is_cut_does_not_matter(fields, content, size):
    body, headers = encode(fields, {"zzz": ("f", content)})

    async def stream():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def read():
        async with form_body.PendingForm(headers["content-type"], stream()) as form:
            return {name: form[name] for name in fields}, await form["zzz"].read()

    assert asyncio.run(read()) == (fields, content)
