"""The one shape of a destination for records: a batch in, stored when the call returns."""

from typing import Protocol, TypeVar

T = TypeVar("T")


class Sink(Protocol[T]):
    """Stores batches, each as a whole; the same record may come twice and counts once.

    An `async def` of one parameter is a sink. One that is also an async context manager is opened
    before its first batch and closed after its last.
    """

    async def __call__(self, batch: list[T], /) -> None: ...
