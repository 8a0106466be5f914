"""A streamed call before it is made: entered or awaited, as aiohttp's are."""

from collections.abc import Coroutine, Generator
from typing import Any

from megahertz.http.client.response import StreamedResponse


class Streamed:
    """What `Client.stream` gives: `async with` closes the response, `await` leaves that to you."""

    __slots__ = ("_asked", "_response")

    def __init__(self, asked: Coroutine[Any, Any, StreamedResponse]) -> None:
        self._asked = asked
        self._response: StreamedResponse | None = None

    def __await__(self) -> Generator[Any, Any, StreamedResponse]:
        return self._asked.__await__()

    async def __aenter__(self) -> StreamedResponse:
        self._response = await self._asked
        return self._response

    async def __aexit__(self, *exc: object) -> None:
        if self._response is not None:
            await self._response.aclose()
