"""What the server under load uses: its processes in /proc, and what it says of itself."""

import json
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from megahertz.errors import BadSettings
from megahertz.load.sample import EVERY
from megahertz.load.usage import threads, usage

_PATIENCE = 1.0


class Gauge:
    """A number in the JSON that a URL gives, asked for in a thread of its own.

    Args:
        text: `http://host:port/stats#tasks.alive`; after the `#` stand keys, with dots between.
    """

    def __init__(self, text: str) -> None:
        self._url = urlsplit(text)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise BadSettings(f"{text!r}: need http://host[:port]/path#key.key")
        self.value: float | None = None
        self.lag: float | None = None
        self.why = ""
        self._asked: float | None = None

    def ask(self) -> None:
        """Asks once; a server that does not answer leaves the value as it was."""
        began = self._asked = time.monotonic()
        try:
            self.value = self._number(self._get())
            self.why = ""
        except (OSError, HTTPException, ValueError, KeyError, IndexError, TypeError) as error:
            self.why = f"{self._url.geturl()}: {type(error).__name__}: {error}"
        self.lag = time.monotonic() - began
        self._asked = None

    @property
    def late(self) -> float | None:
        """Seconds that the last answer took, or that the next has taken so far."""
        asked = self._asked
        waiting = time.monotonic() - asked if asked is not None else 0.0
        return max(waiting, self.lag) if self.lag is not None else None

    def _get(self) -> Any:
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = kind(str(self._url.hostname), self._url.port, timeout=_PATIENCE)
        try:
            connection.request("GET", self._url.path or "/")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _number(self, found: Any) -> float:
        for key in filter(None, self._url.fragment.split(".")):
            found = found[int(key)] if isinstance(found, list) else found[key]
        return float(found)


class Server:
    """The processes and gauges of a server, looked at while a run goes on.

    Args:
        pid: the parent process; None: nothing of /proc.
        tasks: gives the number of its tasks; None: its threads stand in.
        lag: gives the seconds that its loop is late; None: what the gauge of tasks took to answer.
    """

    def __init__(
        self, pid: int | None = None, *, tasks: Gauge | None = None, lag: Gauge | None = None
    ) -> None:
        self._pid = pid
        self._tasks = tasks
        self._lag = lag
        self._last: tuple[float, float] | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Server":
        gauges = [gauge for gauge in (self._tasks, self._lag) if gauge]
        if gauges:
            self._thread = threading.Thread(target=self._ask, args=(gauges,), daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread:
            self._thread.join(2 * _PATIENCE)

    def _ask(self, gauges: list[Gauge]) -> None:
        while not self._over.is_set():
            for gauge in gauges:
                gauge.ask()
            self._over.wait(EVERY)

    def look(self) -> dict[str, Any]:
        """`cpu`, `rss`, `tasks` and `lag` of a `Sample`; None is what nobody can tell."""
        found: dict[str, Any] = {"cpu": None, "rss": None, "tasks": None, "lag": None}
        if self._pid is not None:
            now, used = time.monotonic(), usage(self._pid)
            if self._last:
                before, cpu = self._last
                # A child that ended takes its time out of the sum.
                found["cpu"] = max(0.0, used.cpu - cpu) / max(now - before, 1e-9)
            self._last = (now, used.cpu)
            found |= {"rss": used.rss, "tasks": threads(self._pid)}
        if self._tasks:
            found |= {"tasks": self._tasks.value, "lag": self._tasks.late}
        if self._lag:
            found["lag"] = self._lag.value
        return found
