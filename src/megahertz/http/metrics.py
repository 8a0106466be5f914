"""The route that Prometheus asks."""

from collections.abc import Awaitable, Callable

from megahertz.engine import Plane
from megahertz.http.request import Request
from megahertz.http.response import Response
from megahertz.observe import scraped


def metrics_of(plane: Callable[[], Plane]) -> Callable[[Request], Awaitable[Response]]:
    """A handler that tells what all workers of the plane have counted."""

    async def metrics(request: Request) -> Response:
        fields = request.headers
        body, headers = scraped(
            plane(),
            accept=fields.get("accept", ""),
            encoding=fields.get("accept-encoding", ""),
        )
        return Response(body, headers=headers)

    return metrics
