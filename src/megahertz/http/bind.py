"""From a request to a handler's arguments: one function for each route, compiled at start-up.

Theory: what a route needs is known once its handler is. So the code that would otherwise walk a
list of parameters for every request is written out as source, as dataclasses and attrs do for
`__init__`: a path parameter and a body cost an index, two calls and nothing else.

    def endpoint(x):
        try:
            a0 = c0(x.params[0])
            a1 = c1(x.body)
        except Exception as error:
            raise explain(x, error) from None
        return handler(a0, a1)

Rules: no text of a user's gets into the source but as `repr` of a name; values travel as names of
the namespace. The fast path stops at the first error; `explain` then looks at every parameter
again, slowly, and names each that is wrong.

Rejected: a loop over closures (twice the time for two parameters), `Signature.bind` (50 times).
"""

import linecache
from collections.abc import Callable
from typing import Any

from msgspec import ValidationError

from megahertz.http.convert import whole_numbers
from megahertz.http.cookies import parse as cookies
from megahertz.http.explain import explainer
from megahertz.http.fields import pairs
from megahertz.http.params import MISSING
from megahertz.http.request import Place, Request
from megahertz.http.signature import Parameter, Signature

Bound = Callable[..., Any]


def compile_binder(
    handler: Callable[..., Any],
    signature: Signature,
    place: Place,
    *,
    where: str,
    rest: str | None = None,
    given: bool = False,
    solved: tuple[int, ...] | None = None,
) -> Bound:
    """`handler` as a function of an exchange, or of what `given` and `solved` say.

    Args:
        handler: what is called with the arguments.
        signature: the handler's.
        place: what the route's requests share.
        where: for tracebacks.
        rest: the path parameter that may be empty, and is then missing.
        given: the function takes a `Request` that is there already.
        solved: it also takes a list of dependencies' results, and these are their places in it.
    """
    namespace: dict[str, Any] = {
        "handler": handler,
        "explain": explainer(signature, place.names),
        "Request": Request,
        "place": place,
        "pairs": pairs,
        "cookies": cookies,
        "whole_numbers": whole_numbers,
        "ValidationError": ValidationError,
        "queried": tuple(signature.parameters[index].alias for index in _single(signature)),
    }
    for index, item in enumerate(signature.parameters):
        namespace[f"c{index}"], namespace[f"d{index}"] = item.convert, item.default
        namespace[f"k{index}"] = item.kind
    names = tuple(f"*{name}" if name == rest else name for name in place.names)
    source = _source(signature, names, given, solved)
    filename = f"<megahertz binds {where}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    exec(compile(source, filename, "exec"), namespace)
    endpoint: Bound = namespace["endpoint"]
    if not given and solved is None and _is_body_alone(signature):
        endpoint.decoded = namespace["c0"], handler  # type: ignore[attr-defined]
    return endpoint


def _is_body_alone(signature: Signature) -> bool:
    """Whether the engine can call the handler itself (`Endpoint`)."""
    only = signature.parameters[0] if len(signature.parameters) == 1 else None
    if only is None or only.source != "body" or only.by_name:
        return False
    return only.convert is not None and only.default is MISSING


_READY = {"request", "background", "depends"}
"""Sources that nothing is parsed for."""


def _source(
    signature: Signature, names: tuple[str, ...], given: bool, solved: tuple[int, ...] | None
) -> str:
    parameters = signature.parameters
    takes = ("r" if given else "x") + ("" if solved is None else ", s")
    lines = [f"def endpoint({takes}):", *(["    x = r._exchange"] if given else [])]
    if {item.source for item in parameters} - _READY:
        lines.append("    try:")
        lines += [f"        {line}" for line in _shared(signature)]
        for index, item in enumerate(parameters):
            if item.source not in _READY:
                lines += [f"        {line}" for line in _lines(index, item, names)]
        lines += ["    except Exception as error:", "        raise explain(x, error) from None"]
    lines.append(f"    return handler({', '.join(_arguments(parameters, given, solved))})")
    return "\n".join(lines) + "\n"


def _single(signature: Signature) -> list[int]:
    """The parameters that take the last value of their name in the query, by their number."""
    each = enumerate(signature.parameters)
    return [index for index, item in each if item.source == "query" and not item.many]


def _shared(signature: Signature) -> list[str]:
    """What several parameters read: the query and the cookies, parsed once."""
    lines, single = [], _single(signature)
    if any(item.source == "query" and item.many for item in signature.parameters):
        lines.append("f = pairs(x.query)")
    if single:
        lines.append(f"{''.join(f'q{index}, ' for index in single)}= x.query_values(queried)")
    if any(item.source == "cookie" for item in signature.parameters):
        lines.append("k = cookies(x.headers)")
    return lines


def _lines(index: int, item: Parameter, names: tuple[str, ...]) -> list[str]:
    """Fetches one parameter into `v`, and its value into `a<index>`."""
    fetch = _fetch(index, item, names)
    if item.source == "body" and item.convert is not None:
        return _decoded(index, item)
    if item.source == "path" or (item.source == "body" and item.default is MISSING):
        return [f"a{index} = {_made(index, item, fetch)}"]
    absent = "v is None" if not (item.many or item.source == "body") else "not v"
    if item.default is MISSING:
        missing = f"if {absent}: raise KeyError({item.alias!r})"
        return [f"v = {fetch}", missing, f"a{index} = {_made(index, item, 'v')}"]
    return [f"v = {fetch}", f"a{index} = d{index} if {absent} else {_made(index, item, 'v')}"]


def _decoded(index: int, item: Parameter) -> list[str]:
    """A body's JSON; a try costs nothing where it does not raise."""
    made = f"c{index}(x.body)"
    if item.default is not MISSING:
        made = f"{made} if x.body else d{index}"
    retried = f"a{index} = whole_numbers(k{index}, x.body, error)"
    return ["try:", f"    a{index} = {made}", "except ValidationError as error:", f"    {retried}"]


def _made(index: int, item: Parameter, raw: str) -> str:
    return raw if item.convert is None else f"c{index}({raw})"


def _fetch(index: int, item: Parameter, names: tuple[str, ...]) -> str:
    if item.source == "path":
        if item.alias in names:
            return f"x.params[{names.index(item.alias)}]"
        return f"(*x.params, '')[{names.index('*' + item.alias)}]"
    if item.source == "header":
        return _header(item)
    if item.source == "cookie":
        return f"k.get({item.alias!r})"
    if item.source == "body":
        return "x.body"
    if item.many:
        return f"[text for name, text in f if name == {item.alias!r}]"
    return f"q{index}"


def _header(item: Parameter) -> str:
    if item.many:
        raw = item.alias.encode("latin-1")
        return f"[text.decode('latin-1') for name, text in x.headers if name == {raw!r}]"
    return f"x.header({item.alias!r})"


def _arguments(
    parameters: tuple[Parameter, ...], given: bool, solved: tuple[int, ...] | None
) -> list[str]:
    places = iter(solved or ())
    values = []
    for index, item in enumerate(parameters):
        if item.source == "request":
            values.append("r" if given else "Request(x, place)")
        elif item.source == "background":
            values.append("r._background")
        else:
            values.append(f"s[{next(places)}]" if item.source == "depends" else f"a{index}")
    return [
        f"{item.name}={value}" if item.by_name else value
        for item, value in zip(parameters, values, strict=True)
    ]
