"""`mhz config`: the settings in etcd, read, written and taken back."""

import asyncio
import contextlib
import difflib
import getpass
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from megahertz.backends import Etcd
from megahertz.cli.target import load
from megahertz.errors import MegahertzError
from megahertz.govern import config as centre

T = TypeVar("T")


class Where:
    """Which etcd, and as whom."""

    def __init__(self, endpoints: str, user: str | None, ca: str | None) -> None:
        name, _, password = (user or "").partition(":")
        self._endpoints = [it.strip() for it in endpoints.split(",")]
        self._named: dict[str, Any] = {
            "username": name or None,
            "password": password or None,
            "ca_certs": ca,
        }

    def run(self, key: str, work: Callable[[centre.Documents], Awaitable[T]]) -> T:
        """Does it; what goes wrong is a sentence, and exit code 1."""

        async def doing() -> T:
            async with Etcd(*self._endpoints, **self._named) as client:
                return await work(centre.Documents(client, key))

        try:
            return asyncio.run(doing())
        except MegahertzError as error:
            raise click.ClickException(str(error)) from error


where = click.make_pass_decorator(Where)
key = click.argument("key")


@click.group(context_settings={"show_default": True})
@click.option("--etcd", envvar="MHZ_ETCD", default="127.0.0.1:2379", help="Endpoints, by commas.")
@click.option("--user", envvar="MHZ_ETCD_USER", help="NAME:PASSWORD.")
@click.option("--ca", envvar="MHZ_ETCD_CA", help="PEM file to trust with https:// endpoints.")
@click.pass_context
def config(context: click.Context, etcd: str, user: str | None, ca: str | None) -> None:
    """Read, write and take back settings in etcd. KEY names a document: config/shop.

    \b
    Examples:
      mhz config get config/shop
      mhz config set config/shop limit=500 database.pool=20 --why "sale" --check shop:settings
      mhz config history config/shop
      mhz config rollback config/shop 1042
    """
    context.obj = Where(etcd, user, ca)


@config.command()
@key
@click.argument("path", required=False)
@where
def get(where: Where, key: str, path: str | None) -> None:
    """Show the document, or the setting at PATH (database.pool).

    \b
    Example:
      mhz config get config/shop database.pool
    """
    found: Any = centre.from_json(where.run(key, centre.Documents.read).text)
    for part in path.split(".") if path else []:
        if not isinstance(found, dict) or part not in found:
            raise click.ClickException(f"{key} says nothing of {path}; other layers may")
        found = found[part]
    click.echo(_pretty(found))


@config.command()
@key
@click.argument("changes", nargs=-1, metavar="PATH=VALUE...")
@click.option("--unset", multiple=True, metavar="PATH", help="Leave it to the other layers.")
@click.option("--file", "file", help="Begin with this file in place of what is there.")
@click.option("--check", metavar="MODULE:SETTINGS", help="Only if this Configuration accepts it.")
@click.option("--why", default="", help="For those who read the history.")
@where
def set(
    where: Where,
    key: str,
    changes: tuple[str, ...],
    unset: tuple[str, ...],
    file: str | None,
    check: str | None,
    why: str,
) -> None:
    """Change settings; VALUE is JSON where it reads as JSON, else text.

    What somebody else writes meanwhile is not overwritten: this fails, and can be done again.

    \b
    Examples:
      mhz config set config/shop limit=500 zones='["a","b"]'
      mhz config set config/shop --file shop.toml --check shop.main:settings
    """
    if not (changes or unset or file):
        raise click.UsageError("nothing to change: name PATH=VALUE, --unset or --file")

    async def work(documents: centre.Documents) -> int:
        now = await documents.read()
        found: dict[str, Any] = dict(
            centre.from_file(Path(file)) if file else centre.from_json(now.text)
        )
        for change in changes:
            _put(found, change)
        for path in unset:
            _remove(found, path)
        text = msgspec.json.encode(found)
        if check:
            _configuration(check).build(text)
        return await documents.write(text, expected=now.version, by=_me(), why=why)

    click.echo(f"{key} is version {where.run(key, work)}")


@config.command()
@key
@where
def history(where: Where, key: str) -> None:
    """List the versions, the newest first.

    \b
    Example:
      mhz config history config/shop
    """
    for written in where.run(key, centre.Documents.history):
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(written.at))
        click.echo(f"{written.version:>10}  {at}  {written.by}  {written.why}".rstrip())


@config.command()
@key
@click.argument("old", type=int)
@click.argument("new", type=int, required=False)
@where
def diff(where: Where, key: str, old: int, new: int | None) -> None:
    """Show what changed from version OLD to NEW, or to the present one.

    \b
    Example:
      mhz config diff config/shop 1042
    """

    async def work(documents: centre.Documents) -> tuple[bytes, bytes]:
        before = bytes((await documents.version(old)).document)
        if new is None:
            return before, (await documents.read()).text
        return before, bytes((await documents.version(new)).document)

    before, after = (_pretty(centre.from_json(it)).splitlines() for it in where.run(key, work))
    name = "now" if new is None else f"version {new}"
    for line in difflib.unified_diff(before, after, f"version {old}", name, lineterm=""):
        click.echo(line)


@config.command()
@key
@click.argument("version", type=int)
@click.option("--why", default="", help="For those who read the history.")
@where
def rollback(where: Where, key: str, version: int, why: str) -> None:
    """Write a version of the history anew.

    \b
    Example:
      mhz config rollback config/shop 1042
    """

    async def work(documents: centre.Documents) -> int:
        return await documents.roll_back(version, by=_me(), why=why)

    click.echo(f"{key} is version {where.run(key, work)}, as version {version} was")


@config.command()
@key
@click.option("--count", type=int, help="End after so many versions.")
@where
def watch(where: Where, key: str, count: int | None) -> None:
    """Show the document now, and whenever it changes, until interrupted.

    \b
    Example:
      mhz config watch config/shop
    """

    async def work(documents: centre.Documents) -> None:
        now, revision = await documents.read_at()
        _show(now.version, now.text)
        left = -1 if count is None else count - 1
        lost = lambda error: click.echo(str(error), err=True)  # noqa: E731
        async with documents.etcd.watch(key, revision=revision + 1, lost=lost) as changes:
            while left:
                for entry in (await anext(changes)).entries:
                    _show(entry.modified, entry.value)
                    left -= 1

    with contextlib.suppress(KeyboardInterrupt):
        where.run(key, work)


@config.command()
@click.argument("target", metavar="MODULE:SETTINGS")
@click.argument("file")
def validate(target: str, file: str) -> None:
    """Say whether a Configuration would accept FILE as its document; exit code 1: it would not.

    \b
    Example:
      mhz config validate shop.main:settings new.toml
    """
    try:
        text = msgspec.json.encode(centre.from_file(Path(file)))
        _configuration(target).build(text)
    except MegahertzError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file} is good")


def _configuration(target: str) -> centre.Configuration[Any]:
    found = load(target)
    if not isinstance(found, centre.Configuration):
        raise click.ClickException(f"{target} is no Configuration")
    return found


def _put(document: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    if not equals or not all(path.split(".")):
        raise click.UsageError(f"{change!r}: PATH=VALUE expected, such as database.pool=20")
    *outer, last = path.split(".")
    for part in outer:
        document = document.setdefault(part, {})
        if not isinstance(document, dict):
            raise click.ClickException(f"{path}: {part!r} is no group of settings")
    try:
        document[last] = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        document[last] = text


def _remove(document: dict[str, Any], path: str) -> None:
    *outer, last = path.split(".")
    for part in outer:
        document = document.get(part, {})
    if not isinstance(document, dict) or last not in document:
        raise click.ClickException(f"{path} is not set")
    del document[last]


def _show(version: int, text: bytes) -> None:
    click.echo(f"# version {version}")
    click.echo(_pretty(centre.from_json(text)))


def _pretty(found: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(found)).decode()


def _me() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"
