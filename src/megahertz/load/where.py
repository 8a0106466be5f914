"""Where a key of a TOML file stands: parsers say what is wrong with a value, but not its line."""

import re
from collections import Counter

Path = tuple[str | int, ...]
"""Keys and positions: `("requests", 1, "weight")`."""

_TABLE = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([\w\"'.-]+)\s*=")


def line(text: str, path: Path) -> int | None:
    """The line of a key, else of the table that should have it; None: the file has neither.

    Tables and keys that begin a line are found, as they are written by hand; a brace is not
    looked into.
    """
    found, best = None, 0
    table: Path = ()
    seen: Counter[str] = Counter()
    for number, content in enumerate(text.splitlines(), 1):
        header, key = _TABLE.fullmatch(content), _KEY.match(content)
        if header:
            table = _named(header[2], header[1] == "[[", seen)
            here = table
        elif key:
            here = table + tuple(_bare(name) for name in key[1].split("."))
        else:
            continue
        if len(here) > best and here == path[: len(here)]:
            found, best = number, len(here)
    return found


def _named(name: str, is_list: bool, seen: Counter[str]) -> Path:
    keys: tuple[str | int, ...] = tuple(_bare(part) for part in name.split("."))
    if is_list:
        seen[name] += 1
        return (*keys, seen[name] - 1)
    first = str(keys[0])
    # [requests.headers] belongs to the last of [[requests]]
    return (first, seen[first] - 1, *keys[1:]) if seen[first] else keys


def _bare(name: str) -> str:
    return name.strip().strip("\"'")
