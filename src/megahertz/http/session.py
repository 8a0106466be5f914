"""A session as handlers see it: a dict of what a browser is known by."""

from collections.abc import Iterator, MutableMapping
from typing import Any, Final

import msgspec

from megahertz.cache import Fields, SessionStore, new_token
from megahertz.errors import Misused

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder().decode


NAMES: Final = 1_000
"""Of a session; Redis's scripts take 8,000 words at once (LUAI_MAXCSTACK)."""


class Session(MutableMapping[str, Any]):
    """Names and values; saved when the handler has returned, if anything in it is another by then.

    A list or dict in it may be changed in place: what was looked at is compared with what was
    loaded. Values are what msgpack has (a tuple comes back as a list).

    Attributes:
        token: that the browser shows; None: it has no session yet.
    """

    def __init__(self, token: str | None = None, fields: Fields | None = None) -> None:
        self.token = token
        self._fields: Fields = {} if fields is None else fields
        self._values: dict[str, Any] = {}
        self._removed: set[str] = set()
        self._rotates = self._revoked = False
        self.accessed = False

    @property
    def is_new(self) -> bool:
        """Whether the browser has shown none that there is."""
        return self.token is None

    def rotate(self) -> None:
        """Gives it another token, and ends the one that it had.

        To be called whenever somebody logs in or gets more rights: whoever planted or saw the
        token before has nothing by it (session fixation).
        """
        self._rotates = True

    def revoke(self) -> None:
        """Ends it, everywhere: for logging out. What is put in afterwards is in a new one."""
        self._revoked = True
        self._values, self._fields, self._removed = {}, {}, set()

    def __getitem__(self, name: str) -> Any:
        self.accessed = True
        if name not in self._values:
            if name in self._removed:
                raise KeyError(name)
            self._values[name] = _DECODE(self._fields[name])
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name:
            raise Misused(f"session[{name!r}]: names are text, and not empty")
        self.accessed = True
        self._values[name] = value
        self._removed.discard(name)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._values.pop(name, None)
        if name in self._fields:
            self._removed.add(name)

    def __iter__(self) -> Iterator[str]:
        self.accessed = True
        before = [name for name in self._fields if name not in self._removed]
        return iter([*before, *(name for name in self._values if name not in self._fields)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        self.accessed = True
        return name in self._values or (name in self._fields and name not in self._removed)

    def _changes(self) -> Fields:
        """What is another now; encoding is how a change in place is seen."""
        encoded = {name: _ENCODE(value) for name, value in self._values.items()}
        return {name: value for name, value in encoded.items() if self._fields.get(name) != value}

    async def save(self, store: SessionStore, most: int) -> bool:
        """Writes what has changed; whether the browser has to be told its token, or its end.

        Args:
            most: octets of all values and names.

        Raises:
            Misused: more than that.
            BackendError, Overloaded: the store is away.
        """
        changed, before = self._changes(), self.token
        self._check_size(changed, most)
        if before is not None and (self._revoked or self._rotates):
            return await self._anew(store, before, changed)
        if before is None:
            return bool(changed) and await self._made(store, changed)
        if not changed and not self._removed:
            return False
        if await store.save(before, changed, self._removed, new=False):
            return False
        self.token = None  # revoked while this request was under way: that stands
        return True

    async def _anew(self, store: SessionStore, before: str, changed: Fields) -> bool:
        self.token = None
        if not self._revoked and await store.load(before) is not None:
            # Else somebody has revoked it meanwhile: what it had is not for another token.
            kept = {name: it for name, it in self._fields.items() if name not in self._removed}
            changed = kept | changed
        if changed:
            await self._made(store, changed)
        await store.revoke(before)
        return True

    async def _made(self, store: SessionStore, changed: Fields) -> bool:
        self.token = new_token()
        await store.save(self.token, changed, (), new=True)
        return True

    def _check_size(self, changed: Fields, most: int) -> None:
        if not changed:
            return
        fields = {**self._fields, **changed}
        size = sum(len(name) + len(it) for name, it in fields.items() if name not in self._removed)
        if size > most or len(fields) > NAMES:
            raise Misused(
                f"a session of {size:,} octets and {len(fields):,} names, where {most:,} and "
                f"{NAMES:,} are the most"
            )

    def __repr__(self) -> str:
        """Without values and token: both are secrets."""
        return f"<Session of {sorted(self)}>"
