"""On whose behalf code runs: the route and the span of a task, or of a stack.

Theory: the engine makes the request's task the loop's current one while it runs, and whatever the
request starts inherits its context. So a task is asked first (the trace in its context knows the
route), then the stack (the route's own handler is in it, also in a thread of the pool). Both are
free until somebody looks; a variable set for each request would not be.
"""

import asyncio
import contextvars
import gc
from collections.abc import Callable, Iterable
from functools import partial
from types import CodeType, FrameType
from typing import Any, NamedTuple

from megahertz.observe.current import CURRENT

ENGINE = "(engine)"
"""Outside of every task: reading, routing, writing; encoding answers."""


class Behalf(NamedTuple):
    """Whose it is."""

    route: str
    span: str = ""
    trace: str = ""


class Behalves:
    """Tells whose a task or a stack is.

    Args:
        handlers: labels of routes and what answers them.
    """

    def __init__(self, handlers: Iterable[tuple[str, Callable[..., Any]]]) -> None:
        labels: dict[CodeType, list[str]] = {}
        for label, handler in handlers:
            code = code_of(handler)
            if code is not None:
                labels.setdefault(code, []).append(label)
        self._labels = {code: " | ".join(several) for code, several in labels.items()}

    def of_task(self, task: Any, frame: FrameType | None) -> Behalf:
        """Of the loop's current task, or of none."""
        if task is None:
            route = self.of_frames(frame)
            return Behalf(route or ENGINE)
        context = context_of(task)
        found = None if context is None else context.get(CURRENT)
        route = getattr(found.route, "label", "") if found is not None else ""
        route = route or self.of_frames(frame) or _named(task)
        if found is None or not found.sampled:
            return Behalf(route)
        span = _span(context)
        return Behalf(route, "" if span == route else span, found.trace_id)

    def of_frames(self, frame: FrameType | None) -> str:
        """The route whose handler is in a stack; empty where there is none."""
        while frame is not None:
            label = self._labels.get(frame.f_code)
            if label is not None:
                return label
            frame = frame.f_back
        return ""


def code_of(handler: Any) -> CodeType | None:
    """Of a function, a method, a partial of one, or an object that can be called."""
    while isinstance(handler, partial):
        handler = handler.func
    for found in (handler, handler.__call__):
        code = getattr(found, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


def context_of(task: Any) -> contextvars.Context | None:
    """Of any task; `Task.get_context` is of Python 3.12."""
    get = getattr(task, "get_context", None)
    if get is not None:
        context = get()
        return context if isinstance(context, contextvars.Context) else None
    found = (it for it in gc.get_referents(task) if type(it) is contextvars.Context)
    return next(found, None)


def _named(task: Any) -> str:
    """What a task that is no request's is called."""
    if not isinstance(task, asyncio.Task):
        return "(application)"
    coroutine = task.get_coro()
    return f"task {getattr(coroutine, '__qualname__', type(coroutine).__qualname__)}"


def _span(context: contextvars.Context | None) -> str:
    """The name of OpenTelemetry's current span."""
    for variable, value in () if context is None else context.items():
        if variable.name == "current_context":
            from opentelemetry import trace

            return str(getattr(trace.get_current_span(value), "name", ""))
    return ""
