"""What begins with a request and must end with it, exactly once, whatever ends the request.

Theory: layers that are generators, and dependencies that are, put their end on one stack as they
begin. The stack is taken down once the answer is sent: the last first, each in turn, in the same
task and context. Whatever ended the request early (an error, a client that left, a deadline, a
server that stops) is raised in each of them, where it waits.

Rules: an end that raises does not spare those below it, which see its error in place of the first.
None of them can hide an error: what is cleaned up is not what was asked for, and the request still
needs an answer.

Rejected: AsyncExitStack, since one that hides an error lets those below it believe that all is
well, and commit; and since a generator could not be told what was answered.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from megahertz.context import lift_deadline

End = Callable[[Any, BaseException | None], Awaitable[object]]
"""`await end(answer, error)`: one of the two is None, unless the answer was not whole."""


class Ends:
    """The ends of one request, the last first.

    Attributes:
        answer: what was sent; None until it was.
    """

    __slots__ = ("_open", "answer")

    def __init__(self) -> None:
        self._open: list[End] = []
        self.answer: Any = None

    async def begin(self, generator: AsyncGenerator[Any, Any]) -> Any:
        """Runs `generator` to its yield, whose value it gives; the rest of it is the end."""
        try:
            value = await anext(generator)
        except StopAsyncIteration:
            told = f"{_name(generator)} returned without a yield; raise an error instead"
            raise RuntimeError(told) from None
        self._open.append(_resumed(generator))
        return value

    async def enter(self, manager: AbstractAsyncContextManager[Any]) -> Any:
        """Enters `manager`, and gives what that gives; leaving it is the end."""
        value = await manager.__aenter__()
        self._open.append(_left(manager))
        return value

    def count(self) -> int:
        """How many have begun and not ended."""
        return len(self._open)

    async def close(self, error: BaseException | None = None, left: int = 0) -> None:
        """Ends all but the first `left` of them; a second time there is nothing to do.

        Raises:
            BaseException: `error`, or what an end raised in its place.
        """
        if not left:
            lift_deadline()  # it was the answer's, and what is cleaned up needs time of its own
        while len(self._open) > left:
            end = self._open.pop()
            try:
                await end(self.answer, error)
            except BaseException as raised:
                error = raised
        if error is not None:
            raise error

    async def __aenter__(self) -> "Ends":
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return await self.close()
        try:
            await self.close(error)
        except BaseException as raised:
            if raised is not error:
                raise
        return None


def _resumed(generator: AsyncGenerator[Any, Any]) -> End:
    async def end(answer: Any, error: BaseException | None) -> None:
        try:
            await (generator.asend(answer) if error is None else generator.athrow(error))
        except StopAsyncIteration:
            return
        await generator.aclose()
        raise RuntimeError(f"{_name(generator)} yields more than once")

    return end


def _name(generator: object) -> str:
    return getattr(generator, "__qualname__", repr(generator))


def _left(manager: AbstractAsyncContextManager[Any]) -> End:
    async def end(answer: Any, error: BaseException | None) -> None:
        await manager.__aexit__(None if error is None else type(error), error, None)

    return end
