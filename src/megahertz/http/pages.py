"""The OpenAPI document and its page, served from the package: nothing is fetched from elsewhere.

The page is Swagger UI (Apache-2.0; `swagger/` has its two files as they are published, packed by
gzip), the one that users of FastAPI know; Redoc cannot send requests, and Scalar is three times the
size. The document is made when it is first asked for.
"""

import gzip
import posixpath
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from megahertz.http.encode import encode
from megahertz.http.request import Request
from megahertz.http.response import HTMLResponse, Response
from megahertz.http.routes import Router

_KINDS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{base}/swagger-ui-bundle.js"></script>
<script src="{base}/start.js" data-url="{document}"></script>
</body>
</html>
"""

_START = """\
const url = document.currentScript.dataset.url
SwaggerUIBundle({url, dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true})
"""

# Swagger UI sets styles and draws its icons from data: addresses; scripts come from here alone.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_GUARD = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff"}
_KEPT = {"cache-control": "public, max-age=86400", "vary": "accept-encoding"}


def pages(
    title: str,
    describe: Callable[[], Mapping[str, Any]],
    *,
    openapi_url: str | None,
    docs_url: str | None,
) -> Router:
    """Routes of the document and of the page, as far as there are addresses for them."""
    router = Router()
    if openapi_url is None:
        return router
    made = cache(lambda: Response(encode(describe()), media_type="application/json"))

    async def openapi() -> Response:
        return made()

    router.get(openapi_url, name="openapi", include_in_schema=False)(openapi)
    if docs_url is not None:
        _add_page(router, title, openapi_url, docs_url.rstrip("/") or "/docs")
    return router


def _add_page(router: Router, title: str, openapi_url: str, docs_url: str) -> None:
    here = posixpath.dirname(docs_url)

    @cache
    def page() -> Response:
        from html import escape  # for who looks at it

        text = _PAGE.format(
            title=escape(title),
            base=escape(posixpath.basename(docs_url)),
            document=escape(posixpath.relpath(openapi_url, here)),
        )
        return HTMLResponse(text, headers=_GUARD)

    async def docs() -> Response:
        return page()

    async def start() -> Response:
        return Response(_START, headers=_KEPT | _GUARD, media_type="text/javascript")

    router.get(docs_url, name="docs", include_in_schema=False)(docs)
    router.get(f"{docs_url}/start.js", name="docs", include_in_schema=False)(start)
    for name in _KINDS:
        router.get(f"{docs_url}/{name}", name="docs", include_in_schema=False)(_of(name))


def _of(name: str) -> Callable[..., Any]:
    async def asset(request: Request) -> Response:
        return _asset(name, "gzip" in request.headers.get("accept-encoding", ""))

    return asset


@cache
def _asset(name: str, packed: bool) -> Response:
    from importlib.resources import files

    content = files(__package__).joinpath("swagger", f"{name}.gz").read_bytes()
    headers = _KEPT | _GUARD | ({"content-encoding": "gzip"} if packed else {})
    return Response(content if packed else gzip.decompress(content), 200, headers, _KINDS[name])
