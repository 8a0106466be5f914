"""Scripts and functions that the server runs."""

import hashlib
from collections.abc import Awaitable, Sequence
from typing import Any

from megahertz.backends.redis.commands.words import Asks, Key, Value, flagged, is_ok, text
from megahertz.errors import Misused, ReplyError


class Scripts(Asks):
    """EVAL, EVALSHA, FCALL and their kin."""

    def eval(self, script: str | bytes, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Runs a script; the first `numkeys` are its keys."""
        return self._command(("EVAL", script, numkeys, *keys_and_args))

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Runs one that the server knows by its SHA-1."""
        return self._command(("EVALSHA", sha, numkeys, *keys_and_args))

    def eval_ro(self, script: str | bytes, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Runs one that changes nothing."""
        return self._command(("EVAL_RO", script, numkeys, *keys_and_args), None, True)

    def evalsha_ro(self, sha: str, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """The same by its SHA-1."""
        return self._command(("EVALSHA_RO", sha, numkeys, *keys_and_args), None, True)

    def script_load(self, script: str | bytes) -> Awaitable[str]:
        """Has the server know it; gives its SHA-1."""
        return self._command(("SCRIPT", "LOAD", script), text)

    def script_exists(self, *args: str) -> Awaitable[list[bool]]:
        """Which it knows."""
        return self._command(("SCRIPT", "EXISTS", *args), lambda found: [*map(bool, found)], True)

    def script_flush(self, sync_type: str | None = None) -> Awaitable[bool]:
        """It forgets them all, at once (SYNC) or later (ASYNC)."""
        if sync_type not in (None, "SYNC", "ASYNC"):
            raise Misused("SCRIPT FLUSH is SYNC or ASYNC")
        words = ("SCRIPT", "FLUSH", *(() if sync_type is None else (sync_type,)))
        return self._command(words, is_ok)

    def script_kill(self) -> Awaitable[bool]:
        """Ends the one that is running, unless it has written."""
        return self._command(("SCRIPT", "KILL"), is_ok)

    def fcall(self, function: str, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Calls a function of a library."""
        return self._command(("FCALL", function, numkeys, *keys_and_args))

    def fcall_ro(self, function: str, numkeys: int, *keys_and_args: Any) -> Awaitable[Any]:
        """Calls one that changes nothing."""
        return self._command(("FCALL_RO", function, numkeys, *keys_and_args), None, True)

    def function_load(self, code: str | bytes, replace: bool | None = False) -> Awaitable[Any]:
        """Adds a library; gives its name."""
        return self._command(("FUNCTION", "LOAD", *flagged(REPLACE=replace), code))

    def function_delete(self, library: str) -> Awaitable[bool]:
        """Removes one."""
        return self._command(("FUNCTION", "DELETE", library), is_ok)

    def function_flush(self, mode: str = "SYNC") -> Awaitable[bool]:
        """Removes them all."""
        return self._command(("FUNCTION", "FLUSH", mode), is_ok)

    def _run(self, script: "Script", words: Sequence[Any]) -> Awaitable[Any]:
        return self._by_sha(script, words)

    async def _by_sha(self, script: "Script", words: Sequence[Any]) -> Any:
        """By its SHA-1; a server that does not know it is told the script."""
        try:
            return await self.evalsha(script.sha, *words)
        except ReplyError as error:
            if error.kind != "NOSCRIPT":
                raise
        return await self.eval(script.script, *words)

    def register_script(self, script: str | bytes) -> "Script":
        """A script to be called as a function, by its SHA-1 once the server knows it."""
        return Script(self, script)


class Script:
    """A script and whom it is asked of.

        count = redis.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert await count(keys=["visits"], args=[2]) == 2

    Attributes:
        sha: its SHA-1, by which servers know it.
    """

    def __init__(self, registered_client: Scripts, script: str | bytes) -> None:
        self.registered_client, self.script = registered_client, script
        self.sha = hashlib.sha1(script.encode() if isinstance(script, str) else script).hexdigest()

    def __call__(
        self,
        keys: Sequence[Key] | None = None,
        args: Sequence[Value] | None = None,
        client: Any = None,
    ) -> Awaitable[Any]:
        """Runs it; on a pipeline, with the others of it."""
        words = (len(keys or ()), *(keys or ()), *(args or ()))
        asked: Scripts = self.registered_client if client is None else client
        return asked._run(self, words)
