"""What calls take, and what a client tells of itself."""

from dataclasses import dataclass
from typing import Any, TypedDict

from megahertz.govern import UpstreamStatistics
from megahertz.http.client.content import ContentTypes, Files, Pairs, Params
from megahertz.http.client.credentials import AuthTypes
from megahertz.http.client.jar import CookieTypes
from megahertz.http.client.lines import FieldTypes


class Options(TypedDict, total=False):
    """What every call takes, by httpx's names.

    Attributes:
        params: fields of the query, behind those that the URL has.
        json: the body, as JSON.
        content: the body: bytes, text, an async iterable of bytes, or a binary file.
        data: the fields of a form.
        files: the files of a form: by the name of their field a content, or `(file name, content,
            content type)`.
        headers: in place of the client's of the same name.
        cookies: beside the client's, for this call.
        auth: `(name, password)`, or a bearer token.
        timeout: seconds for all of it, of a stream until it begins and for each piece; None: only
            the deadline of whoever calls.
        follow_redirects: whether to.
        key: what calls that belong together have in common, for an upstream's balancer.
    """

    params: Params | None
    json: Any
    content: ContentTypes | None
    data: Pairs | None
    files: Files | None
    headers: FieldTypes | None
    cookies: CookieTypes | None
    auth: AuthTypes | None
    timeout: float | None
    follow_redirects: bool
    key: bytes | None


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """What a client has done.

    Attributes:
        calls: that were begun; each redirect and each try is one.
        failures: of these, without an answer.
        running: under way.
        pool: of its connections.
        upstream: of the instances behind it; None: it has none.
    """

    calls: int
    failures: int
    running: int
    pool: Any
    upstream: UpstreamStatistics | None
