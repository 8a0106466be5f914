"""What was seen of one process for some seconds, as plain data."""

import msgspec

from megahertz.observe.kept import Span


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """A function, and the line of it that was being run."""

    name: str
    file: str
    line: int

    @property
    def place(self) -> str:
        """As the rest of megahertz tells lines."""
        return f"{self.file}:{self.line} in {self.name}"


class Stack(msgspec.Struct, kw_only=True):
    """The same frames for the same sake, however often they were seen.

    Attributes:
        route: on whose behalf they ran: `GET /items/{sku}`, or what else it was.
        span: the span that was current; empty where none was recorded.
        thread: its name; empty for the loop's.
        frames: numbers of frames, the outermost first.
        held: seconds; of the loop's thread those in which nothing else could run in it, of others
            those of processor time; of requests that wait, the time of each.
        cpu: seconds of processor time.
        count: samples.
    """

    route: str
    span: str
    thread: str
    frames: list[int]
    held: float = 0.0
    cpu: float = 0.0
    count: int = 0


class Slice(msgspec.Struct, kw_only=True):
    """Something that went on for a while.

    Attributes:
        at: seconds since the recording began.
        seconds: how long.
        label: of whom.
        where: the user's own line in which it was longest; empty where that says nothing.
        trace: of the request; empty where it was not recorded.
    """

    at: float
    seconds: float
    label: str
    where: str = ""
    trace: str = ""


class Track(msgspec.Struct, kw_only=True):
    """A request that waited: for what, one after the other."""

    label: str
    path: str
    began: float
    parts: list[Slice]


class Growth(msgspec.Struct, kw_only=True):
    """Memory that a line has got and still has."""

    where: str
    bytes: int
    blocks: int


class Cost(msgspec.Struct, kw_only=True):
    """What the recording itself took: seconds of processor in its thread and on the loop, and
    samples that it wanted and got."""

    thread: float = 0.0
    loop: float = 0.0
    wanted: int = 0
    taken: int = 0


class Recording(msgspec.Struct, kw_only=True):
    """One process, for some seconds.

    Attributes:
        pid: of the process.
        began: nanoseconds since 1970.
        seconds: how long.
        frames: that stacks are made of, by their number.
        running: what ran, on the loop and in threads.
        waiting: where requests waited.
        loop: what ran on the loop when; neighbours of one sake are one slice.
        blocked: when the loop took 0.1 s or longer to come, and where it mostly was meanwhile.
        pauses: of the garbage collector.
        lags: when the loop was asked to come, and after how many seconds it did.
        tracks: of the requests that waited.
        spans: that ended meanwhile.
        idle: seconds in which the loop waited for events.
        cpu: seconds of processor time of the whole process.
        left_out: stacks, slices and tracks that there was no room for.
        cost: of the recording.
        growth: memory by line, if it was asked for.
    """

    pid: int
    began: int
    seconds: float = 0.0
    frames: list[Frame] = []
    running: list[Stack] = []
    waiting: list[Stack] = []
    loop: list[Slice] = []
    blocked: list[Slice] = []
    pauses: list[Slice] = []
    lags: list[tuple[float, float]] = []
    tracks: list[Track] = []
    spans: list[Span] = []
    idle: float = 0.0
    cpu: float = 0.0
    left_out: int = 0
    cost: Cost
    growth: list[Growth] = []
