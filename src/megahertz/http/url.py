"""The address of a request, taken apart."""

from urllib.parse import SplitResult, urlsplit


class URL:
    """An absolute URL: `str(url)`, or its parts by Starlette's names."""

    __slots__ = ("_parts", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts: SplitResult | None = None

    def _split(self) -> SplitResult:
        if self._parts is None:
            self._parts = urlsplit(self._text)
        return self._parts

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return self._split().scheme

    @property
    def netloc(self) -> str:
        """Host and port as the client wrote them."""
        return self._split().netloc

    @property
    def hostname(self) -> str | None:
        """The host alone, in lower case."""
        return self._split().hostname

    @property
    def port(self) -> int | None:
        """The port, where the client named one."""
        return self._split().port

    @property
    def path(self) -> str:
        """As sent, percent-encoded."""
        return self._split().path

    @property
    def query(self) -> str:
        """As sent, without the question mark."""
        return self._split().query

    def __str__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, URL | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"URL({self._text!r})"
