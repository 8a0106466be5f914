"""The OpenAPI 3.1 document of an application, from the signatures that its requests are bound by.

Nothing is declared twice: parameters and bodies are those of the handler and of all that it depends
on, answers are its return annotation, errors are the problem documents of `problems.py`.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, get_origin

from megahertz.engine import Answer
from megahertz.http.convert import without_none
from megahertz.http.declared import Declared
from megahertz.http.events import Events
from megahertz.http.files import FileResponse
from megahertz.http.params import MISSING
from megahertz.http.problems import MEDIA_TYPE as PROBLEM
from megahertz.http.response import Response
from megahertz.http.routes import Router
from megahertz.http.schema import Schema, Schemas, plain
from megahertz.http.signature import Parameter, Signature, read
from megahertz.http.stream import StreamingResponse

VERSION = "3.1.0"
METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")
"""Those that OpenAPI has a place for."""

_REFUSAL: Schema = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was not served (RFC 9457).",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "rule"],
                "properties": {"where": {"type": "string"}, "rule": {"type": "string"}},
            },
        },
    },
}
_IS_PROBLEM = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}

_SOURCES = ("path", "query", "header", "cookie")
_PARAMETER = re.compile(r"\{\*?([A-Za-z_]\w*)(?::\w+)?\}")


class Operation:
    """A declared route with everything that its requests are bound by."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.path = _PARAMETER.sub(r"{\1}", declared.path)
        self._own = read(declared.handler, declared.pattern.names, declared.where)
        self._all = list(_reached(self._own, declared))

    @property
    def returns(self) -> Any:
        """The handler's return annotation."""
        return self._own.returns

    @property
    def parameters(self) -> list[Parameter]:
        """Of the handler and its dependencies, each once; those of the path come first."""
        found: dict[tuple[str, str], Parameter] = {}
        for item in self._all:
            if item.source in _SOURCES:
                found.setdefault((item.source, item.alias), item)
        return sorted(found.values(), key=lambda item: _SOURCES.index(item.source))

    @property
    def body(self) -> Parameter | None:
        """The parameter that is the request's body."""
        return next((item for item in self._all if item.source == "body"), None)

    def kinds(self) -> Iterator[Any]:
        """Every type that needs a schema."""
        yield from (_kind(item) for item in self.parameters)
        if self.body is not None:
            yield self.body.kind
        if not _is_answer(self.returns):
            yield self.returns
        for said in self.declared.described.responses.values():
            if isinstance(said, Mapping) and "model" in said:
                yield said["model"]


def _kind(item: Parameter) -> Any:
    """Of a parameter: text is never null, so that only its absence is None."""
    return without_none(item.kind)


def document(
    router: Router, *, title: str, version: str = "0.1.0", description: str = ""
) -> dict[str, Any]:
    """The document of every route that is not hidden.

    Args:
        router: of the routes.
        title: of the API.
        version: of the API, not of OpenAPI.
        description: Markdown.
    """
    listed = [Operation(route) for route in router.declared() if _is_listed(route)]
    schemas = Schemas([kind for operation in listed for kind in operation.kinds()])
    paths: dict[str, dict[str, Any]] = {}
    taken: set[str] = set()
    for operation in listed:
        for method in operation.declared.methods:
            item = paths.setdefault(operation.path, {})
            item[method.lower()] = _operation(operation, method, schemas, taken)
    info = {"title": title, "version": version}
    if description:
        info["description"] = description
    components = dict(sorted({**schemas.components, "Problem": _REFUSAL}.items()))
    return {
        "openapi": VERSION,
        "info": info,
        "paths": paths,
        "components": {"schemas": components},
    }


def _is_listed(route: Declared) -> bool:
    known = all(method in METHODS for method in route.methods)
    return route.described.include_in_schema and route.socket is None and known


def _reached(signature: Signature, declared: Declared) -> Iterator[Parameter]:
    """Parameters of a signature and of what it depends on, and of the route's own dependencies."""
    waiting = [signature]
    waiting += [_of(dependency.call, declared) for dependency in declared.dependencies]
    seen: set[Any] = set()
    while waiting:
        for item in waiting.pop(0).parameters:
            if item.source != "depends":
                yield item
            elif item.kind.call not in seen:
                seen.add(item.kind.call)
                waiting.append(_of(item.kind.call, declared))


def _of(call: Any, declared: Declared) -> Signature:
    return read(call, declared.pattern.names, declared.where)


def _operation(
    operation: Operation, method: str, schemas: Schemas, taken: set[str]
) -> dict[str, Any]:
    said = operation.declared.described
    summary, description = _words(operation.declared)
    found: dict[str, Any] = {"operationId": _identity(operation.declared, method, taken)}
    found |= {"tags": list(said.tags)} if said.tags else {}
    found |= {"summary": summary} if summary else {}
    found |= {"description": description} if description else {}
    found |= {"deprecated": True} if said.deprecated else {}
    parameters = list(_parameters(operation, schemas))
    found |= {"parameters": parameters} if parameters else {}
    if operation.body is not None:
        found["requestBody"] = _body(operation.body, schemas)
    found["responses"] = _responses(operation, schemas)
    return found


def _words(declared: Declared) -> tuple[str, str]:
    """Summary and description: what was said, else the docstring."""
    said = declared.described
    text = inspect.getdoc(declared.handler) if inspect.isroutine(declared.handler) else ""
    first, _, rest = (text or "").partition("\n")
    named = declared.name.replace("_", " ").strip().capitalize()
    return said.summary or first.rstrip(".") or named, said.description or rest.strip()


def _identity(declared: Declared, method: str, taken: set[str]) -> str:
    """The route's name, unless another has it."""
    name = declared.described.operation_id or declared.name
    for tried in (name, f"{name}_{method.lower()}"):
        if tried not in taken:
            break
    else:
        tried = next(it for n in range(2, len(taken) + 3) if (it := f"{name}_{n}") not in taken)
    taken.add(tried)
    return tried


def _parameters(operation: Operation, schemas: Schemas) -> Iterator[dict[str, Any]]:
    named = set()
    for item in operation.parameters:
        schema = schemas.of(_kind(item))
        default = None if item.default is MISSING else plain(item.default)
        if default is not None:
            schema |= {"default": default}
        required = item.source == "path" or item.default is MISSING
        described = schema.get("description", "")
        found = {"name": item.alias, "in": item.source, "required": required}
        yield found | ({"description": described} if described else {}) | {"schema": schema}
        named.add(item.alias if item.source == "path" else "")
    for name in operation.declared.pattern.names:
        if name not in named:
            yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _body(item: Parameter, schemas: Schemas) -> dict[str, Any]:
    kind = "application/octet-stream" if item.kind is bytes else "application/json"
    schema = {} if item.kind is bytes else schemas.of(item.kind)
    return {"required": item.default is MISSING, "content": {kind: {"schema": schema}}}


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    status, content = _answer(operation, schemas)
    found: dict[str, Any] = {str(status): _response(status, content)}
    if operation.parameters or operation.body is not None:
        found["422"] = _response(422, _IS_PROBLEM)
    for code, said in operation.declared.described.responses.items():
        found[str(code)] = _said(code, said, schemas)
    return {**found, "default": {"description": "Refused, or failed", "content": _IS_PROBLEM}}


def _answer(operation: Operation, schemas: Schemas) -> tuple[int, dict[str, Any]]:
    """Status and content of what the handler returns."""
    status, kind = operation.declared.status, operation.returns
    if kind is None or kind is type(None):
        return 204, {}
    if _is_answer(kind):
        media = _media(kind)
        return status, {media: {}} if media else {}
    if kind in (str, bytes):
        media = "text/plain" if kind is str else "application/octet-stream"
        return status, {media: {"schema": {"type": "string"} if kind is str else {}}}
    return status, {"application/json": {"schema": schemas.of(kind)}}


def _is_answer(kind: Any) -> bool:
    """An answer by itself, which tells nothing of its body's type."""
    return isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, Answer)


def _media(kind: type) -> str:
    if issubclass(kind, Events):
        return "text/event-stream"
    if issubclass(kind, FileResponse | StreamingResponse):
        return "*/*"
    return (kind.media_type or "").partition(";")[0] if issubclass(kind, Response) else ""


def _response(status: int, content: dict[str, Any]) -> dict[str, Any]:
    try:
        described = HTTPStatus(status).phrase
    except ValueError:
        described = f"Status {status}"
    return {"description": described} | ({"content": content} if content else {})


def _said(code: int, said: Mapping[str, Any] | str, schemas: Schemas) -> dict[str, Any]:
    if isinstance(said, str):
        said = {"description": said}
    rest = {name: value for name, value in said.items() if name != "model"}
    content = _IS_PROBLEM if code >= 400 else {}
    if "model" in said:
        content = {"application/json": {"schema": schemas.of(said["model"])}}
    return _response(code, content) | rest
