"""What is wrong with a request, parameter by parameter; runs only once something is."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from megahertz.engine import Exchange
from megahertz.errors import Invalid
from megahertz.http.convert import item_of, spell, whole_numbers
from megahertz.http.cookies import parse as cookies
from megahertz.http.fields import Fields, Headers, pairs
from megahertz.http.params import MISSING
from megahertz.http.signature import Parameter, Signature

Problem = dict[str, str]

_SHOWN = 40
"""Characters of a bad value that are repeated to its sender."""


def explainer(
    signature: Signature, names: tuple[str, ...]
) -> Callable[[Exchange, Exception], Exception]:
    """`explain(exchange, error)`: the `Invalid` to raise, or `error` where nothing explains it."""

    def explain(exchange: Exchange, error: Exception) -> Exception:
        problems: list[Problem] = []
        for item in signature.parameters:
            if item.source == "body":
                problems += _body(item, exchange.body)
            elif item.source not in ("request", "background", "depends"):
                problems += _text(item, _fetch(item, exchange, names))
        if not problems:
            return error
        where = ", ".join(problem["where"] for problem in problems)
        malformed = any(problem["rule"].startswith("JSON") for problem in problems)
        status = 400 if malformed else 422
        return Invalid(f"The request is not valid: {where}", problems, status_code=status)

    return explain


def _fetch(item: Parameter, exchange: Exchange, names: tuple[str, ...]) -> Any:
    """The raw value, or None where it is absent."""
    if item.source == "path":
        return (*exchange.params, "")[names.index(item.alias)]
    if item.source == "cookie":
        return cookies(exchange.headers).get(item.alias)
    fields = Fields(pairs(exchange.query)) if item.source == "query" else Headers(exchange.headers)
    return (fields.getlist(item.alias) or None) if item.many else fields.get(item.alias)


def _text(item: Parameter, raw: Any) -> list[Problem]:
    where = f"{item.source}.{item.alias}"
    if raw is None:
        return [{"where": where, "rule": "Required"}] if item.default is MISSING else []
    if item.convert is None:
        return []
    try:
        item.convert(raw)
    except (ValueError, TypeError) as error:
        message, _, at = str(error).partition(" - at `$")
        if found := _PLACE.fullmatch(at):
            return [
                {"where": f"{where}[{found[1]}]", "rule": _rule(item, raw[int(found[1])], message)}
            ]
        return [{"where": where, "rule": _rule(item, raw, message)}]
    return []


_PLACE = re.compile(r"\[(\d+)\]`")
"""Of an item in a list, as msgspec says it."""


def _rule(item: Parameter, raw: Any, message: str) -> str:
    """msgspec's sentence; where it does not say what is allowed, or what came, that too."""
    shown = repr(raw) if len(raw) <= _SHOWN else f"{raw[:_SHOWN]!r}..."
    kind = item_of(item.kind) if item.many else item.kind
    if message.endswith("got `str`") or message.startswith("Invalid enum value"):
        return f"Expected {spell(kind)}, got {shown}"
    if message.startswith("Invalid"):
        return f"{message.replace('`', '')}: {shown}"
    return message.replace("`", "")


def _body(item: Parameter, raw: bytes) -> list[Problem]:
    if item.convert is None or (not raw and item.default is not MISSING):
        return []
    if not raw:
        return [{"where": "body", "rule": "Required"}]
    try:
        try:
            item.convert(raw)
        except msgspec.ValidationError as error:
            whole_numbers(item.kind, raw, error)
    except msgspec.ValidationError as error:
        rule, _, path = str(error).partition(" - at `$")
        return [{"where": f"body{path.rstrip('`')}", "rule": rule.replace("`", "")}]
    except ValueError as error:
        return _of_model(error)
    except RecursionError:
        return [{"where": "body", "rule": "JSON is nested too deeply"}]
    return []


def _of_model(error: ValueError) -> list[Problem]:
    """Of pydantic's ValidationError, known by its method; of any other decoder, malformed JSON."""
    listed = getattr(error, "errors", None)
    if listed is None:
        return [{"where": "body", "rule": f"JSON is malformed: {error}"}]
    return [_of_item(item) for item in listed(include_url=False)]


def _of_item(item: dict[str, Any]) -> Problem:
    if item["type"] == "json_invalid":
        return {"where": "body", "rule": f"JSON is malformed: {item['msg']}"}
    return {"where": ".".join(["body", *map(str, item["loc"])]), "rule": item["msg"]}
