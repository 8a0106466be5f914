"""Users of a server, and what they may do."""

from collections.abc import Awaitable, Iterable
from typing import Any

from megahertz.backends.redis.commands.words import Asks, Key, flagged, is_ok, named, text
from megahertz.errors import Misused


class Acl(Asks):
    """ACL."""

    def acl_cat(self, category: str | None = None) -> Awaitable[list[str]]:
        """Categories, or the commands of one."""
        return self._command(("ACL", "CAT", *(() if category is None else (category,))), _texts)

    def acl_deluser(self, *username: str) -> Awaitable[int]:
        """Removes users; gives how many."""
        return self._command(("ACL", "DELUSER", *username))

    def acl_dryrun(self, username: str, *args: Any) -> Awaitable[Any]:
        """Whether a user may give a command: OK, or why not."""
        return self._command(("ACL", "DRYRUN", username, *args))

    def acl_genpass(self, bits: int | None = None) -> Awaitable[str]:
        """A password of so many bits (256), in hexadecimal."""
        if bits is not None and not 0 < int(bits) <= 4096:
            raise Misused("acl_genpass: 1 to 4,096 bits")
        return self._command(("ACL", "GENPASS", *(() if bits is None else (int(bits),))), text)

    def acl_getuser(self, username: str) -> Awaitable[dict[str, Any] | None]:
        """What a user may."""
        return self._command(("ACL", "GETUSER", username), _user)

    def acl_help(self) -> Awaitable[list[str]]:
        """What there is."""
        return self._command(("ACL", "HELP"), _texts)

    def acl_list(self) -> Awaitable[list[str]]:
        """All users, as the configuration has them."""
        return self._command(("ACL", "LIST"), _texts)

    def acl_load(self) -> Awaitable[bool]:
        """Reads users from the server's file."""
        return self._command(("ACL", "LOAD"), is_ok)

    def acl_log(self, count: int | None = None) -> Awaitable[list[dict[str, Any]]]:
        """What was refused, the newest first."""
        if count is not None and not isinstance(count, int):
            raise Misused("acl_log: a whole number")
        return self._command(("ACL", "LOG", *(() if count is None else (count,))), _refused)

    def acl_log_reset(self) -> Awaitable[bool]:
        """Forgets that."""
        return self._command(("ACL", "LOG", "RESET"), is_ok)

    def acl_save(self) -> Awaitable[bool]:
        """Writes users to the server's file."""
        return self._command(("ACL", "SAVE"), is_ok)

    def acl_setuser(
        self,
        username: str,
        enabled: bool = False,
        nopass: bool = False,
        passwords: str | Iterable[str] | None = None,
        hashed_passwords: str | Iterable[str] | None = None,
        categories: Iterable[str] | None = None,
        commands: Iterable[str] | None = None,
        keys: Iterable[Key] | None = None,
        channels: Iterable[Key] | None = None,
        selectors: Iterable[tuple[str, Key]] | None = None,
        reset: bool = False,
        reset_keys: bool = False,
        reset_channels: bool = False,
        reset_passwords: bool = False,
    ) -> Awaitable[bool]:
        """Makes or changes a user; passwords, categories and commands begin with + or -."""
        if nopass and (passwords or hashed_passwords):
            raise Misused("nopass and passwords exclude each other")
        words = flagged(
            reset=reset,
            resetkeys=reset_keys,
            resetchannels=reset_channels,
            resetpass=reset_passwords,
        )
        words.append("on" if enabled else "off")
        words += _signed("a password", passwords, ">", "<")
        words += _signed("a hashed password", hashed_passwords, "#", "!")
        words += flagged(nopass=nopass)
        words += _signed("a category", (_bare(each) for each in categories or ()), "+@", "-@")
        words += _signed("a command", commands, "+", "-")
        words += [f"~{text(key)}" for key in keys or ()]
        words += [f"&{text(channel)}" for channel in channels or ()]
        words += [f"({command} ~{text(key)})" for command, key in selectors or ()]
        return self._command(("ACL", "SETUSER", username, *words), is_ok)

    def acl_users(self) -> Awaitable[list[str]]:
        """Their names."""
        return self._command(("ACL", "USERS"), _texts)

    def acl_whoami(self) -> Awaitable[str]:
        """As whom the shared connection is known."""
        return self._command(("ACL", "WHOAMI"), text)


def _signed(what: str, given: str | Iterable[str] | None, add: str, remove: str) -> list[str]:
    words = []
    for each in [given] if isinstance(given, str) else given or ():
        if each[:1] not in ("+", "-"):
            raise Misused(f"{what} begins with + to add it or - to remove it")
        words.append((add if each[0] == "+" else remove) + each[1:])
    return words


def _bare(category: str) -> str:
    return category[:1] + category[2:] if category[1:2] == "@" else category


def _texts(reply: Any) -> list[str]:
    return [text(each) for each in reply]


def _split(value: Any) -> list[Any]:
    return [each for each in text(value).split(" ") if each] if value is not None else []


def _user(reply: Any) -> dict[str, Any] | None:
    if reply is None:
        return None
    found = named(reply)
    rules = text(found["commands"]).split(" ")
    selectors = [
        [text(word) for pair in each.items() for word in pair]
        if isinstance(each, dict)
        else _texts(each)
        for each in found.get("selectors", [])
    ]
    return {
        **found,
        "flags": _texts(found["flags"]),
        "passwords": _texts(found["passwords"]),
        "keys": _split(found["keys"]),
        "channels": _split(found["channels"]),
        "selectors": selectors,
        "commands": [rule for rule in rules if "@" not in rule],
        "categories": [rule for rule in rules if "@" in rule],
        "enabled": "on" in _texts(found["flags"]),
    }


_NUMBERS = """
id age idle db sub psub multi qbuf qbuf-free obl argv-mem oll omem tot-mem
"""
_WHOLE = frozenset(_NUMBERS.split())


def _refused(reply: Any) -> list[dict[str, Any]]:
    found = []
    for entry in reply:
        row: dict[str, Any] = {
            name: value if isinstance(value, (int, float)) else text(value)
            for name, value in named(entry).items()
        }
        pairs = (pair.split("=", 1) for pair in str(row["client-info"]).split())
        row["client-info"] = {
            name: int(value) if name in _WHOLE else value for name, value in pairs
        }
        row["age-seconds"] = float(row["age-seconds"])
        found.append(row)
    return found
