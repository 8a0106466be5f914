"""The route that Prometheus asks."""

from collections.abc import Awaitable, Callable

from megahertz.govern import ORDER
from megahertz.http.gates import Gates
from megahertz.http.response import Response
from megahertz.observe import METRICS_TYPE, exposition


def metrics_of(gates: Gates) -> Callable[[], Awaitable[Response]]:
    """A handler that tells what the gates have counted, in all workers."""

    async def metrics() -> Response:
        return Response(exposition(gates.plane(), ORDER), media_type=METRICS_TYPE)

    return metrics
