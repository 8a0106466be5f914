"""What limiters have to do, written down in another way than they do it: exact, slow, unbounded.

Time is whole nanoseconds (or whatever the caller counts in), numbers are fractions.
"""

from fractions import Fraction
from math import ceil


class Tokens:
    """A bucket that fills at a rate: what GCRA and the token bucket admit."""

    def __init__(self, step, burst):
        self.step, self.burst = step, burst
        self.tokens, self.seen = Fraction(burst), None

    def admits(self, now, cost=1):
        if self.seen is not None:
            self.tokens = min(self.burst, self.tokens + Fraction(now - self.seen, self.step))
        self.seen = now
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def wait(self, cost=1):
        """Of a refused call."""
        return (cost - self.tokens) * self.step


class Turns:
    """A queue that lets one go each step, and `burst` wait."""

    def __init__(self, step, burst):
        self.step, self.burst = step, burst
        self.departures = []

    def turn(self, now):
        """How long until the call may go; None where the queue is full."""
        waiting = [moment for moment in self.departures if moment > now]
        last = self.departures[-1] if self.departures else now - self.step
        turn = max(now, last + self.step)
        if turn > now and len(waiting) >= self.burst:
            return None
        self.departures.append(turn)
        return turn - now


class Windows:
    """A count for each window; of the last one as much as still lies in the last `length`."""

    def __init__(self, limit, length):
        self.limit, self.length = limit, length
        self.counts = {}

    def admits(self, now, cost=1):
        number, passed = divmod(now, self.length)
        before = self.counts.get(number - 1, 0)
        weighted = ceil(Fraction(before * (self.length - passed), self.length))
        own = self.counts.get(number, 0)
        if weighted + own + cost > self.limit:
            return False
        self.counts[number] = own + cost
        return True
