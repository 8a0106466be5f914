"""Flame graphs of recordings, as one SVG that needs nothing else.

Boxes are functions, as wide as the time in them and what they call; the lowest row is the route on
whose behalf it was, the next the span, where there is one (Gregg, "The Flame Graph", CACM 59.6,
2016). Two of them, one below the other: what ran, and where requests waited.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from megahertz.observe.profile.recording import Frame, Recording, Stack
from megahertz.observe.stacks import OURS, PYTHON

WIDTH, ROW = 1200, 18
"""Units of the drawing; a browser scales it to its window."""

NARROW = 0.4
"""Units below which a box is left out: nobody sees it (flamegraph.pl: 0.1 pixels)."""

LETTER = 6.6
"""Units of a letter of 11 in a monospaced face."""


@dataclass(slots=True)
class Box:
    """A function, in what called it."""

    name: str
    title: str = ""
    own: bool = False
    seconds: float = 0.0
    inner: dict[tuple[str, str], "Box"] = field(default_factory=dict)

    def into(self, key: tuple[str, str], title: str, own: bool, seconds: float) -> "Box":
        """The box of that key inside of this, so much wider."""
        box = self.inner.get(key)
        if box is None:
            box = self.inner[key] = Box(key[0], title, own)
        box.seconds += seconds
        return box

    def depth(self) -> int:
        """Rows, its own included."""
        return 1 + max((box.depth() for box in self.inner.values()), default=0)


def tree(name: str, parts: Iterable[tuple[Sequence[Frame], Sequence[Stack]]]) -> Box:
    """All stacks in one box."""
    root = Box(name, name)
    for frames, stacks in parts:
        for stack in stacks:
            root.seconds += stack.held
            box = root.into((stack.route, ""), stack.route, True, stack.held)
            if stack.span:
                box = box.into((stack.span, "span"), f"span {stack.span}", True, stack.held)
            for number in stack.frames:
                frame = frames[number]
                own = not frame.file.startswith((OURS, "<", *PYTHON))
                title = f"{frame.name} ({frame.file}:{frame.line})"
                box = box.into((frame.name, frame.file), title, own, stack.held)
    return root


def flame(recordings: Sequence[Recording]) -> str:
    """The SVG."""
    running = tree("what ran", ((it.frames, it.running) for it in recordings))
    waiting = tree("where requests waited", ((it.frames, it.waiting) for it in recordings))
    parts, top = [], 0.0
    for root in (running, waiting):
        height = (root.depth() + 2) * ROW
        parts += [_caption(root, top), *_boxes(root, 0.0, top + height - ROW, root.seconds)]
        top += height + ROW
    pids = ", ".join(str(one.pid) for one in recordings)
    about = f"{recordings[0].seconds:.1f} s of {pids}" if recordings else "nothing"
    return _PAGE.format(
        width=WIDTH,
        height=round(top),
        title=escape(f"Flame graphs: {about}"),
        body="\n".join(parts),
    )


_PAGE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
font-family="ui-monospace, monospace" font-size="11">
<title>{title}</title>
<style>rect:hover {{ stroke: #000; stroke-width: 1.5 }} text {{ pointer-events: none }}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{body}
</svg>
"""


def _caption(root: Box, top: float) -> str:
    text = f"{root.name}: {root.seconds:.2f} s"
    return f'<text x="4" y="{top + ROW - 4:g}" font-size="13" font-weight="bold">{text}</text>'


def _boxes(box: Box, left: float, bottom: float, whole: float) -> Iterator[str]:
    """A box, and what is in it one row above."""
    width = WIDTH * box.seconds / whole if whole else 0.0
    if width < NARROW:
        return
    yield _box(box, left, bottom, width, whole)
    for inner in sorted(box.inner.values(), key=lambda it: it.name):
        yield from _boxes(inner, left, bottom - ROW, whole)
        left += WIDTH * inner.seconds / whole


def _box(box: Box, left: float, bottom: float, width: float, whole: float) -> str:
    told = f"{box.title}: {box.seconds:.3f} s, {box.seconds / whole:.1%}"
    letters = int((width - 4) / LETTER)
    name = box.name if len(box.name) <= letters else f"{box.name[: letters - 1]}…"
    text = ""
    if letters >= 3:
        text = f'<text x="{left + 2:.1f}" y="{bottom + ROW - 5:g}">{escape(name)}</text>'
    return (
        f'<g><title>{escape(told)}</title><rect x="{left:.2f}" y="{bottom:g}" '
        f'width="{max(0.1, width - 0.5):.2f}" height="{ROW - 1}" rx="1" fill="{_colour(box)}"/>'
        f"{text}</g>"
    )


def _colour(box: Box) -> str:
    """The same name has the same; the user's own code is warm, everything below it is grey."""
    tint = hashlib.blake2s(box.name.encode(), digest_size=2).digest()
    if not box.own:
        return f"hsl(210 12% {78 + tint[0] % 12}%)"
    return f"hsl({18 + tint[0] % 34} {70 + tint[1] % 20}% {66 + tint[1] % 12}%)"
