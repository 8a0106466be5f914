"""The four laws."""

from typing import ClassVar, Final

from megahertz.backends import Law
from megahertz.errors import BadSettings
from megahertz.govern.limit.limiter import Limiter

MOST_IN_WINDOW: Final = 4_194_303
"""Calls that a window can count: 22 bits of its word."""


class GCRA(Limiter):
    """Admits `rate` calls in `per` seconds, and `burst` of them at once.

    The generic cell rate algorithm (ATM Forum TM 4.0, section 4.4): each admitted call books
    `per / rate` seconds of a line, and may book it `burst - 1` calls ahead. In any t seconds at
    most `burst + rate * t / per` calls pass. The step is rounded up to a nanosecond.
    """

    law: ClassVar[Law] = "gcra"


class TokenBucket(Limiter):
    """Holds `burst` tokens, and gets `rate` of them back in `per` seconds; a call takes one.

    The same law as `GCRA` in other words: the tokens are the line that is not booked.
    """

    law: ClassVar[Law] = "gcra"


class LeakyBucket(Limiter):
    """Lets `rate` calls in `per` seconds go, one after the other; `burst` of them may wait.

    The leaky bucket as a queue (Turner, 1986): a call waits for its turn, and is refused where
    `burst` calls wait already. Calls leave evenly spaced, whatever they came like.
    """

    law: ClassVar[Law] = "leaky"


class SlidingWindow(Limiter):
    """Admits `rate` calls in the last `per` seconds; all of them may come together.

    Two counters: that of the last window counts by how much of it the last `per` seconds still
    cover. Calls that came unevenly may so be up to twice the rate in a window that lies across
    two; where that matters, `GCRA` is exact. `burst` has no meaning here.

    Raises:
        BadSettings: `burst` is given, or `rate` is not a whole number up to 4,194,303.
    """

    law: ClassVar[Law] = "window"

    def _check(self) -> None:
        if self.burst != 1:
            raise BadSettings(f"{self!r}: a window has no burst")
        if self.rate != int(self.rate) or not 1 <= self.rate <= MOST_IN_WINDOW:
            raise BadSettings(f"{self!r}: a whole number of calls, up to {MOST_IN_WINDOW:,}")
