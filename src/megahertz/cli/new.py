"""`mhz new`: a project that passes its own tests."""

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path
from string import Template

import click

TREE = {
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    ".gitignore": "gitignore",
    "Dockerfile": "Dockerfile",
    ".github/workflows/ci.yml": "ci.yml",
    "$package/__init__.py": "",
    "$package/app.py": "app.py",
    "$package/orders.py": "orders.py",
    "$package/store.py": "store.py",
    "tests/test_orders.py": "test_orders.py",
}
"""What is made, and of which template; the package's own file is empty."""

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@click.command()
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to make; else NAME.",
)
def new(name: str, into: Path | None) -> None:
    """Make a project: routes, a resource, tests, a Dockerfile, CI.

    \b
    Example:
      mhz new shop
      cd shop && pytest && mhz run shop.app:app --reload
    """
    package = _package(name)
    folder = into or Path(name)
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(f"{folder} is not empty: name another folder by --into")
    words = {"name": name, "package": package, "constant": package.upper()}
    for path, template in TREE.items():
        file = folder / Template(path).substitute(words)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_text(template, words))
    click.echo(f"{folder}/ has {len(TREE)} files. What to do next:\n")
    click.echo(f"  cd {folder}")
    click.echo("  pytest                             # its tests pass")
    click.echo(f"  mhz run {package}.app:app --reload    # http://127.0.0.1:8000/docs")


def _package(name: str) -> str:
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r}: lower-case words with - between, like my-shop")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names or package == "megahertz":
        raise click.BadParameter(
            f"{name!r} is a module of Python's own, or ours: call it otherwise"
        )
    return package


def _text(template: str, words: dict[str, str]) -> str:
    if not template:
        return ""
    text = files(__package__).joinpath("project", f"{template}.tmpl").read_text()
    return Template(text).substitute(words)
