"""A scenario file: who asks for what, how often, for how long, and what is expected (TOML)."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

import msgspec

from megahertz.errors import BadSettings
from megahertz.load.data import Data, data
from megahertz.load.plan import Plan
from megahertz.load.stages import Stage, Stages
from megahertz.load.template import Template, statuses
from megahertz.load.think import Think, think
from megahertz.load.threshold import Threshold, threshold
from megahertz.load.where import Path as Place
from megahertz.load.where import line


class RequestTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[requests]]`."""

    name: str = ""
    method: str = ""
    path: str = ""
    headers: dict[str, str] = {}
    body: str | None = None
    body_file: str | None = None
    json: Any = msgspec.UNSET
    weight: float = 1.0
    statuses: str = "2xx"
    tag: str = ""
    expect: list[str] = []


class StageTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[stages]]`."""

    seconds: float
    rate: float | None = None
    connections: int | None = None
    ramp: bool = False


class DataTable(msgspec.Struct, forbid_unknown_fields=True):
    """`data = {...}`."""

    file: str
    order: Literal["cycle", "random"] = "cycle"


class ScenarioTable(msgspec.Struct, forbid_unknown_fields=True):
    """The file."""

    url: str
    connections: int = 64
    threads: int = 1
    rate: float | None = None
    think: float | str | None = None
    pipeline: int = 1
    http2: bool = False
    streams: int = 1
    keepalive: bool = True
    insecure: bool = False
    cacert: str | None = None
    env_mode: str | None = None
    warmup: float = 1.0
    duration: float = 10.0
    timeout: float = 5.0
    seed: int | None = None
    data: DataTable | None = None
    expect: list[str] = []
    stages: list[StageTable] = []
    requests: list[RequestTable] = []


TABLES: dict[str, type[msgspec.Struct]] = {
    "": ScenarioTable,
    "requests": RequestTable,
    "stages": StageTable,
    "data": DataTable,
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A file, read.

    Attributes:
        plan: what to send.
        thresholds: what is expected.
    """

    plan: Plan
    thresholds: tuple[Threshold, ...]


def scenario(file: Path) -> Scenario:
    """The scenario that a file holds.

    Raises:
        BadSettings: it cannot be read or understood; names the file, the line, the key and what
            is allowed there.
    """
    try:
        text = file.read_text()
    except OSError as error:
        raise BadSettings(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{file}: not UTF-8: {error.reason}") from error
    return _Reader(file, text).read()


_T = TypeVar("_T")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+?)`")
_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


class _Reader:
    """One file on its way to a scenario; knows it for the sake of its errors."""

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._text = text

    def read(self) -> Scenario:
        table = self._decode()
        requests = table.requests or [RequestTable()]
        mix = tuple(self._template(request, number) for number, request in enumerate(requests))
        names = [template.title for template in mix]
        thresholds = [*self._thresholds(table.expect, "", ("expect",))]
        for number, request in enumerate(requests):
            place: Place = ("requests", number, "expect")
            thresholds += self._thresholds(request.expect, names[number], place)
        return Scenario(self._plan(table, mix), tuple(thresholds))

    def _decode(self) -> ScenarioTable:
        try:
            return msgspec.toml.decode(self._text, type=ScenarioTable)
        except msgspec.ValidationError as error:
            self._refuse(*_explained(str(error)))
        except msgspec.DecodeError as error:
            raise BadSettings(f"{self._file}: not TOML: {error}") from error

    def _plan(self, table: ScenarioTable, mix: tuple[Template, ...]) -> Plan:
        settings = {
            name: getattr(table, name)
            for name in ScenarioTable.__struct_fields__
            if name not in {"think", "cacert", "seed", "data", "expect", "stages", "requests"}
        }
        if table.seed is not None:
            settings["seed"] = table.seed
        settings["data"] = self._data(table.data)
        settings["think"] = self._think(table.think)
        settings["stages"] = self._stages(table.stages)
        settings["cacert"] = self._beside(table.cacert) if table.cacert else None
        plan = self._try((), lambda: Plan(**settings, mix=mix))
        for number, template in enumerate(mix):
            self._try(("requests", number), replace(plan, mix=(template,)).check)
        return plan

    def _data(self, table: DataTable | None) -> Data | None:
        if table is None:
            return None
        file, random = self._beside(table.file), table.order == "random"
        return self._try(("data",), lambda: data(file, random=random))

    def _template(self, request: RequestTable, number: int) -> Template:
        place = ("requests", number)
        body = self._body(request, place)
        headers = tuple(request.headers.items())
        typed = any(name.lower() == "content-type" for name in request.headers)
        if body is not None and not typed:
            headers = (*headers, ("content-type", "application/json"))
        return Template(
            method=request.method or ("GET" if body is None else "POST"),
            target=request.path,
            headers=headers,
            body=body,
            weight=request.weight,
            expect=self._try((*place, "statuses"), lambda: statuses(request.statuses)),
            name=request.name,
            tag=request.tag,
        )

    def _body(self, request: RequestTable, place: Place) -> bytes | None:
        given = [
            name
            for name in ("body", "body_file", "json")
            if getattr(request, name) not in (None, msgspec.UNSET)
        ]
        if len(given) > 1:
            self._refuse((*place, given[1]), f"{given[0]} is the body already; one of them")
        if request.body_file is not None:
            try:
                return self._beside(request.body_file).read_bytes()
            except OSError as error:
                self._refuse((*place, "body_file"), f"{request.body_file}: {error.strerror}")
        if request.json is not msgspec.UNSET:
            return json.dumps(request.json, default=str).encode()
        return request.body.encode() if request.body is not None else None

    def _stages(self, tables: list[StageTable]) -> Stages | None:
        if not tables:
            return None
        kinds: set[Literal["rate", "connections"]] = set()
        parts = []
        for number, table in enumerate(tables):
            place = ("stages", number)
            if (table.rate is None) == (table.connections is None):
                self._refuse(place, "needs either rate or connections")
            level = table.rate if table.rate is not None else float(table.connections or 0)
            kinds.add("rate" if table.rate is not None else "connections")
            parts.append(self._try(place, partial(Stage, level, table.seconds, table.ramp)))
        if len(kinds) > 1:
            self._refuse(("stages",), "all of them have a rate, or all have connections")
        return self._try(("stages",), lambda: Stages(kinds.pop(), tuple(parts)))

    def _think(self, given: float | str | None) -> Think | None:
        if given is None:
            return None
        text = given if isinstance(given, str) else f"{given:f}"
        return self._try(("think",), lambda: think(text))

    def _thresholds(self, texts: list[str], of: str, place: Place) -> list[Threshold]:
        prefix = f"{of}: " if of else ""
        return [self._try(place, partial(threshold, prefix + text)) for text in texts]

    def _beside(self, name: str) -> Path:
        """Files are named from where the scenario lies."""
        return self._file.parent / name

    def _try(self, place: Place, make: Callable[[], _T]) -> _T:
        try:
            return make()
        except BadSettings as error:
            if str(error).startswith(str(self._file)):
                raise
            self._refuse(place, str(error))

    def _refuse(self, place: Place, why: str) -> NoReturn:
        number = line(self._text, place)
        where = f"{self._file}:{number}" if number else str(self._file)
        key = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)
        raise BadSettings(": ".join(filter(None, (where, key.removeprefix("."), why))))


def _explained(why: str) -> tuple[Place, str]:
    """Place and reason of a msgspec error, with the keys that are allowed where one is unknown."""
    at = _AT.search(why)
    place: Place = tuple(
        name or int(position) for name, position in _STEP.findall(at[1] if at else "")
    )
    why = _AT.sub("", why)
    unknown = _UNKNOWN.match(why)
    if unknown is None:
        return place, why
    table = TABLES.get(str(place[0]) if place else "", ScenarioTable)
    allowed = ", ".join(table.__struct_fields__)
    return (*place, unknown[1]), f"unknown key; allowed: {allowed}"
