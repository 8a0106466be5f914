"""A route within what observes it, and the way past them for requests that they keep nothing of."""

from collections.abc import Sequence
from dataclasses import replace

from megahertz.engine import WEBSOCKET, Failed, Observer, Quiet, Reserved, Route
from megahertz.observe.current import CURRENT


def observed(route: Route, observers: Sequence[Observer], failed: Failed) -> Route:
    """The route with its endpoint inside of all of them, the first of them outermost."""
    if not observers:
        return route
    inner = route
    for observer in reversed(observers):
        route = replace(route, endpoint=observer.observe(route, failed), bare=False)
    return replace(route, quiet=_past(inner, observers))


def _past(route: Route, observers: Sequence[Observer]) -> Quiet | None:
    """None where one of them has something to do for every request."""
    kept = [it.unheard(route) for it in observers if isinstance(it, Reserved)]
    if len(kept) < len(observers) or WEBSOCKET in route.methods:
        return None
    deciding = [it.source for it in kept if it.decides] or [kept[0].source]
    told = [it for it in kept if it.ended is not None]
    if len(deciding) > 1 or len(told) > 1:
        return None
    if told and route.status >= 400:  # a good answer, to the engine
        return None
    return Quiet(
        deciding[0],
        CURRENT,
        route,
        route.endpoint,
        bare=route.bare,
        loudness=told[0].loudness if told else None,
        ended=told[0].ended if told else None,
    )
