"""How `mhz run` logs: the options, and what they make."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import click

from megahertz.engine import ANY, Endpoint, Route, Service
from megahertz.errors import BadSettings
from megahertz.http import App
from megahertz.observe import Logs, Sampling

log = logging.getLogger("megahertz")

RATES = ("debug", "info", "warning")


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--log-level`, `--log-format`, `--log-rate` and `--access-log`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error", "critical"]),
        default="info",
        show_default=True,
    ),
    click.option(
        "--log-format",
        type=click.Choice(["console", "json"]),
        help="How logs are written, the application's as well  [default: console, ours alone]",
    ),
    click.option(
        "--log-rate",
        "log_rates",
        metavar="LEVEL=SHARE",
        multiple=True,
        help="Share of requests whose records are kept; may be repeated  "
        "[default: 1, with json warning=0.05 and info=0.001]",
    ),
    click.option("--access-log/--no-access-log", default=False, help="A record of each request."),
)


def logs_of(
    level: str, format: Literal["console", "json"] | None, rates: Iterable[str], access: bool
) -> Logs | None:
    """What the options ask for; None: only what we say ourselves, to stderr as it comes.

    Raises:
        BadSettings: a rate that is none.
    """
    shares: dict[str, Any] = dict(map(_rate, rates))
    if format is None and not shares and not access:
        _to_stderr(level)
        return None
    usual = Sampling(level=level) if format == "json" else Sampling.everything(level)
    logs = Logs(replace(usual, **shares), format=format or "console", access=access)
    logs.open()
    return logs


def observed(service: Service, logs: Logs | None) -> Service:
    """The service with its requests in the log."""
    if logs is None:
        return service
    if isinstance(service, App):
        service.layer(logs)
        return service
    return _Observed(service, logs)


class _Observed:
    """A hosted application: its requests come to its fallback, or to routes that have rules."""

    def __init__(self, service: Service, logs: Logs) -> None:
        self._service = service
        self._logs = logs
        self.gate = getattr(service, "gate", None)
        self.refusals = service.refusals
        self.encode = service.encode
        self.failed = service.failed

    @property
    def routes(self) -> Sequence[Route]:
        found = self._service.routes
        return [replace(it, endpoint=self._logs.observe(it, self.failed)) for it in found]

    @property
    def fallback(self) -> Endpoint | None:
        inner = self._service.fallback
        if inner is None:
            return None
        route = Route(methods=(ANY,), pattern="/", endpoint=inner)
        return self._logs.observe(route, self.failed)

    async def __aenter__(self) -> Any:
        return await self._service.__aenter__()

    async def __aexit__(self, *exc: object) -> bool | None:
        return await self._service.__aexit__(*exc)


def _rate(item: str) -> tuple[str, float]:
    name, _, text = item.partition("=")
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if name not in RATES or not 0 <= share <= 1:
        raise BadSettings(f"--log-rate {item}: LEVEL=SHARE, of {', '.join(RATES)}, from 0 to 1")
    return name, share


def _to_stderr(level: str) -> None:
    handler: Any = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(process)d] %(message)s"))
    log.addHandler(handler)
    log.setLevel(level.upper())
    log.propagate = False
