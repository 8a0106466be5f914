"""What is answered instead, while a dependency is in trouble."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from megahertz.clock import Clock, Monotonic
from megahertz.errors import BackendError, BadSettings, Expired, Misused, Refused, StatusError

TROUBLE: Final[tuple[type[Exception], ...]] = (Refused, Expired, BackendError, OSError)
"""What the trouble of a dependency looks like: ours, and the interpreter's own (a `TimeoutError`
and a `ConnectionError` are OSErrors). Anything else is a bug, or an answer."""


def is_trouble(error: BaseException, kinds: tuple[type[BaseException], ...] = TROUBLE) -> bool:
    """Whether an error is of these kinds; where they are `TROUBLE`, a status below 500 is an answer
    and none of them."""
    if kinds is TROUBLE and isinstance(error, StatusError) and error.status_code < 500:
        return False
    return isinstance(error, kinds)


KEYS: Final = 1024
"""Answers that `Stale` keeps (functools.lru_cache: 128; Caffeine's examples: 10,000)."""

_NOTHING: Final = object()


class Fallback:
    """A default answer.

    Args:
        answer: a value, or a function of the call's own arguments that gives one; it may wait.
        on: the errors that it answers; name a client's own here (`httpx.HTTPError`).
    """

    def __init__(self, answer: Any, *, on: tuple[type[Exception], ...] = TROUBLE) -> None:
        self._answer = answer
        self.on = on

    async def instead(
        self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """The answer to a call that ended with `error`."""
        if not callable(self._answer):
            return self._answer
        value = self._answer(*args, **kwargs)
        return await value if inspect.isawaitable(value) else value

    def keep(self, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Is told of every good answer."""


class Stale(Fallback):
    """The last good answer to the same arguments, while it is not too old.

    Args:
        seconds: how old an answer may be.
        default: as `Fallback`, for arguments without such an answer; the error where it is left
            out.
        key: what makes calls the same, of the call's arguments; the arguments themselves where it
            is left out.
        keys: answers kept; above, the one that was asked for longest ago is forgotten.
        on: as `Fallback`.
        clock: where time comes from.

    Raises:
        BadSettings: a number that cannot be.
    """

    def __init__(
        self,
        seconds: float,
        *,
        default: Any = _NOTHING,
        key: Callable[..., Hashable] | None = None,
        keys: int = KEYS,
        on: tuple[type[Exception], ...] = TROUBLE,
        clock: Clock | None = None,
    ) -> None:
        if not (seconds > 0 and keys >= 1):
            raise BadSettings(f"Stale({seconds=}, {keys=}): seconds > 0, keys >= 1")
        super().__init__(default, on=on)
        self._seconds, self._key, self._keys = seconds, key, keys
        self._clock = clock or Monotonic()
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()

    @property
    def has_key(self) -> bool:
        """Whether it was told which calls are the same."""
        return self._key is not None

    async def instead(
        self, error: Exception, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """The kept answer, else the default, else the error."""
        key = self._key_of(args, kwargs)
        kept = self._kept.get(key)
        if kept is not None and self._clock.now() - kept[0] <= self._seconds:
            self._kept.move_to_end(key)
            return kept[1]
        if self._answer is _NOTHING:
            raise error
        return await super().instead(error, args, kwargs)

    def keep(self, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Keeps it."""
        key = self._key_of(args, kwargs)
        self._kept[key] = (self._clock.now(), value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._keys:
            self._kept.popitem(last=False)

    def _key_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Hashable:
        if self._key is not None:
            return self._key(*args, **kwargs)
        key = (args, tuple(sorted(kwargs.items())))
        try:
            hash(key)
        except TypeError as error:
            raise Misused(f"Stale(...): {error}; say which calls are the same by key=") from error
        return key


def fallback_of(value: Any) -> Fallback | None:
    """`value` where it is a fallback already; None for None."""
    return value if value is None or isinstance(value, Fallback) else Fallback(value)
