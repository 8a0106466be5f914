"""Lines of a text that comes in pieces."""

import re
from collections.abc import Iterator

from megahertz.errors import AnswerTooLarge

_END = re.compile(r"\r\n|\n|\r")


class Lines:
    """Cuts at CR LF, LF and CR alone, wherever the pieces are cut.

    Args:
        most: characters of a line.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[str] = []
        self._size = 0

    def feed(self, text: str) -> Iterator[str]:
        """The lines that end with this piece.

        Raises:
            AnswerTooLarge: a line is too long.
        """
        if self._held and self._held[-1].endswith("\r"):
            text = self._held.pop() + text
            self._size -= 1
        # A CR at the end may be half of a CR LF: it waits.
        held_back = text.endswith("\r")
        lines = _END.split(text[:-1] if held_back else text)
        rest = lines.pop()
        for line in lines:
            yield "".join([*self._held, line])
            self._held, self._size = [], 0
        for part in (rest, "\r" if held_back else ""):
            if part:
                self._held.append(part)
                self._size += len(part)
        if self._size > self._most:
            raise AnswerTooLarge(f"a line of more than {self._most} characters")

    def end(self) -> Iterator[str]:
        """What is left, once the text has ended."""
        if self._held:
            yield "".join(self._held).removesuffix("\r")
