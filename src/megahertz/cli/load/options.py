"""The options that say what to send, and the plan that they make."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from megahertz.load import Plan, Server, Template, Threshold

FILE = click.Path(dir_okay=False, path_type=Path)

# Those of one request stand apart: a scenario has requests of its own.
_REQUEST = (
    click.option("-X", "--method", help="GET, or POST with a body."),
    click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'"),
    click.option(
        "--body",
        metavar="TEXT|@FILE",
        help="{id}, {n}, {rand:LO-HI}, {uuid} and {csv:COLUMN} are filled in.",
    ),
    click.option("--tag", help="Colour the traffic: sent as X-Traffic-Tag."),
)
_PLAN = (
    click.option("--scenario", "file", type=FILE, help="A TOML file with requests and stages."),
    click.option("-c", "--connections", default=64, show_default=True, help="Open at once."),
    click.option("--warmup", default=1.0, show_default=True, help="Seconds before measuring."),
    click.option("--timeout", default=5.0, show_default=True, help="Seconds for an answer."),
    click.option("--threads", default=1, show_default=True, help="Native threads."),
    click.option("--http2", is_flag=True, help="HTTP/2 (without TLS: by prior knowledge)."),
    click.option("--streams", default=1, show_default=True, help="At once on an HTTP/2 one."),
    click.option("--keepalive/--no-keepalive", default=True, help="One connection a request."),
    click.option("--insecure", is_flag=True, help="Trust any certificate."),
    click.option("--cacert", type=FILE, help="PEM of the certificates to trust."),
    click.option("--csv-data", type=FILE, help="Rows for {csv:COLUMN}, in turn."),
    click.option("--env-mode", help="Colour the traffic: sent as X-Env-Mode."),
)
_SERVER = (
    click.option("--pid", type=int, help="The server's process: its CPU, RSS and threads."),
    click.option("--tasks", metavar="URL#KEY", help="JSON in which the server counts its tasks."),
    click.option("--lag", metavar="URL#KEY", help="JSON with the seconds that its loop is late."),
)
EXPECT = click.option(
    "--expect",
    multiple=True,
    metavar="WHAT",
    help="Statuses that are no error ('2xx,409'), or a threshold ('p99<50ms', 'errors<0.1%').",
)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a plan, and of the server to look at, to a command."""
    for option in reversed((*_PLAN, *_REQUEST, *_SERVER, EXPECT)):
        command = option(command)
    return command


class Asked(NamedTuple):
    """What a command line asks for."""

    plan: "Plan"
    thresholds: "tuple[Threshold, ...]"
    server: "Server"


def asked(context: click.Context, given: Mapping[str, Any]) -> Asked:
    """The plan of a command line; what it says explicitly goes before the scenario.

    Raises:
        BadSettings: it makes no plan.
        click.UsageError: options exclude each other.
    """
    from megahertz.load import Plan, Scenario, scenario, threshold

    statuses = [text for text in given["expect"] if not _is_threshold(text)]
    thresholds = tuple(threshold(text) for text in given["expect"] if _is_threshold(text))
    if given["file"] is None:
        if given["url"] is None:
            raise click.UsageError("what to load? name a URL, or a file with --scenario")
        if given.get("stages") and _is_explicit(context, "duration"):
            raise click.UsageError("-d: the stages say how long")
        plan = Plan(mix=(_template(given, statuses),), **_settings(given))
        read = Scenario(plan, ())
    else:
        _refuse_requests(context, statuses)
        read = scenario(given["file"])
        plan = _overridden(read.plan, context, given)
    return Asked(plan, (*read.thresholds, *thresholds), _server(given))


def _is_threshold(text: str) -> bool:
    return "<" in text or ">" in text


_SETTINGS = (
    "url",
    "connections",
    "duration",
    "rate",
    "stages",
    "think",
    "pipeline",
    "warmup",
    "timeout",
    "threads",
    "http2",
    "streams",
    "keepalive",
    "insecure",
    "cacert",
    "env_mode",
    "csv_data",
)


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """As `Plan` names them; commands may lack some."""
    from megahertz.load import data, stages, think

    found = {name: given[name] for name in _SETTINGS if given.get(name) is not None}
    if file := found.pop("csv_data", None):
        found["data"] = data(file)
    if texts := found.pop("stages", ()):
        found["stages"] = stages(given.get("stages_of", "rate"), texts.split(","))
    if text := found.pop("think", None):
        found["think"] = think(text)
    return found


def _overridden(plan: "Plan", context: click.Context, given: Mapping[str, Any]) -> "Plan":
    settings = _settings({name: given[name] for name in given if _is_explicit(context, name)})
    if "rate" in settings:
        settings.setdefault("stages", None)
    elif settings.get("stages"):
        settings["rate"] = None
    if "duration" in settings and settings.get("stages", plan.stages):
        raise click.UsageError("-d: the stages say how long; --rate goes before them")
    return replace(plan, **settings)


def _is_explicit(context: click.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source is not click.core.ParameterSource.DEFAULT


def _refuse_requests(context: click.Context, statuses: list[str]) -> None:
    named = [name for name in ("method", "headers", "body", "tag") if _is_explicit(context, name)]
    if named or statuses:
        what = named[0] if named else f"--expect {statuses[0]}"
        raise click.UsageError(f"{what}: the scenario's requests say that themselves")


def _template(given: Mapping[str, Any], expected: list[str]) -> "Template":
    from megahertz.load import Template, statuses

    body = given["body"]
    return Template(
        method=given["method"] or ("GET" if body is None else "POST"),
        headers=_headers(given["headers"], body),
        body=_body(body),
        expect=statuses(",".join(expected) or "2xx"),
        tag=given["tag"] or "",
    )


def _headers(given: tuple[str, ...], body: str | None) -> tuple[tuple[str, str], ...]:
    pairs = []
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"-H {line!r}: write 'name: value'")
        pairs.append((name.strip(), value.strip()))
    named = {name.lower() for name, _ in pairs}
    if body is not None and "content-type" not in named:
        pairs.append(("content-type", "application/json"))
    return tuple(pairs)


def _body(text: str | None) -> bytes | None:
    if text is None or not text.startswith("@"):
        return None if text is None else text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--body {text}: {error.strerror}") from error


def _server(given: Mapping[str, Any]) -> "Server":
    from megahertz.load import Gauge, Server

    if given["pid"] is not None and not Path(f"/proc/{given['pid']}").exists():
        raise click.UsageError(f"--pid {given['pid']}: no such process")
    tasks, lag = (Gauge(text) if text else None for text in (given["tasks"], given["lag"]))
    return Server(given["pid"], tasks=tasks, lag=lag)
