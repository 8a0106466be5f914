"""How long a user of a closed loop waits between an answer and the next request."""

import re
from dataclasses import dataclass
from typing import Literal

from megahertz.errors import BadSettings

Kind = Literal["constant", "uniform", "exponential"]

_NUMBER = r"(\d+(?:\.\d+)?)"
_FORMS = re.compile(rf"(?:(exp):)?{_NUMBER}(?:-{_NUMBER})?")


@dataclass(frozen=True, slots=True)
class Think:
    """Seconds, drawn anew for each pause.

    Attributes:
        kind: always as long; any between two, as likely; or exponential, as of users who come
            independently of each other.
        low: the seconds, the least of them, or their mean.
        high: the most (uniform).
    """

    kind: Kind
    low: float
    high: float = 0.0

    def __str__(self) -> str:
        if self.kind == "uniform":
            return f"{self.low:g}-{self.high:g}"
        return f"{'exp:' if self.kind == 'exponential' else ''}{self.low:g}"


def think(text: str) -> Think:
    """What `0.5`, `0.1-0.9` or `exp:0.5` names.

    Raises:
        BadSettings: it names no time.
    """
    match = _FORMS.fullmatch(text.strip())
    exponential, low, high = match.groups() if match else (None, "", None)
    if match is None or (exponential and high) or (high and float(high) < float(low)):
        raise BadSettings(f"{text!r}: no think time; write 0.5, 0.1-0.9 or exp:0.5, in seconds")
    if high is not None:
        return Think("uniform", float(low), float(high))
    return Think("exponential" if exponential else "constant", float(low))
