"""A trace as a sequence diagram of Mermaid: who asked whom, in which order, and how it went.

Theory: the order is that of the tree, not of the clock: a span comes behind the one that caused it,
and only spans of one parent are put in order by when they began. So clocks that disagree move
nothing; where they show (a call that ends after its caller), a note says so.

Rules:
- A service is a participant. A client's span is drawn as the arrow to the server's span below it;
  with none there, as a call of what it says that it asked (`peer.service`, `db.system.name`).
- What is missing is drawn as missing: a parent that nobody has recorded is `caller`, a span that
  has not ended has no answer. Loops (hostile or broken ids) are cut.
- Equal calls one behind the other are one call in a `loop`.

Names come from anywhere. All but letters, digits and a few signs are written as `#number;`, which
Mermaid decodes after parsing (mermaid.js.org, "Entity codes to escape characters").
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from megahertz.observe.kept import Span

MOST = 400
"""Spans that are drawn: Mermaid's own bound is 50,000 characters of text (maxTextSize)."""

DEEPEST = 100
"""Spans below each other that are drawn."""

LONGEST = 80
"""Characters of a name that are shown."""

SKEW = 1_000_000
"""Nanoseconds between two clocks that are worth a note: NTP keeps a network within a few."""

CALLER = "caller"

_PLAIN = frozenset(" _./")


def escaped(text: str) -> str:
    """Text that is nothing but text to Mermaid, on one line."""
    shown = " ".join(text.split())
    shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    told = "".join(it if it.isalnum() or it in _PLAIN else f"#{ord(it)};" for it in shown)
    return told or "#8203;"


@dataclass(slots=True)
class Node:
    """A span, and those that it has caused."""

    span: Span
    below: list["Node"] = field(default_factory=list)

    @property
    def is_leaf(self) -> bool:
        """Whether it has caused none."""
        return not self.below


def forest(spans: Iterable[Span]) -> list[Node]:
    """The spans as trees; of two with one id, the one that has ended."""
    known: dict[str, Span] = {}
    for span in spans:
        before = known.get(span.span)
        if before is None or not before.ended:
            known[span.span] = span
    nodes = {key: Node(span) for key, span in known.items()}
    cut, roots = _cut(known), list[Node]()
    for key, node in sorted(nodes.items(), key=lambda it: (it[1].span.began, it[0])):
        above = nodes.get(node.span.parent)
        if above is None or key in cut:
            roots.append(node)
        else:
            above.below.append(node)
    return roots


def _cut(spans: Mapping[str, Span]) -> set[str]:
    """Of each loop of parents, the span whose parent is not believed: the first that began."""
    done: set[str] = set()
    cut: set[str] = set()
    for key in spans:
        path: dict[str, None] = {}
        while key in spans and key not in done and key not in path:
            path[key] = None
            key = spans[key].parent
        if key in path:
            loop = list(path)[list(path).index(key) :]
            cut.add(min(loop, key=lambda it: (spans[it].began, it)))
        done.update(path)
    return cut


def mermaid(spans: Sequence[Span]) -> str:
    """The diagram.

    Args:
        spans: of one trace, from any number of services, in any order.
    """
    return "\n".join([*_Diagram().lines(forest(spans)), ""])


class _Diagram:
    def __init__(self) -> None:
        self._people: dict[str, str] = {}
        self._left = MOST
        self._depth = 0

    def lines(self, roots: Sequence[Node]) -> Iterator[str]:
        body = [line for root in roots for line in self._root(root)]
        yield "sequenceDiagram"
        for name, short in self._people.items():
            yield f"    participant {short} as {escaped(name)}"
        yield from body
        if self._left < 0:
            yield f"    Note over p0: and {-self._left} more"

    def _who(self, name: str) -> str:
        return self._people.setdefault(name, f"p{len(self._people)}")

    def _root(self, root: Node) -> Iterator[str]:
        span = root.span
        if span.kind in ("server", "consumer"):
            yield from self._called(root, self._who(CALLER), None)
            return
        if span.parent:
            own = self._who(_service(span))
            yield f"    Note over {own}: whoever asked for it is not recorded"
        yield from self._node(root, None)

    def _node(self, node: Node, above: Span | None) -> Iterator[str]:
        """A span that its own service has begun, or that it was asked for."""
        span = node.span
        if span.kind in ("server", "consumer"):
            caller = CALLER if above is None else _service(above)
            yield from self._called(node, self._who(caller), above)
        elif span.kind in ("client", "producer"):
            yield from self._asks(node)
        elif self._may():
            own = self._who(_service(span))
            yield f"    {own}->>{own}: {escaped(span.name)}{_how(span, ', ')}"
            yield from self._inside(node)

    def _asks(self, node: Node) -> Iterator[str]:
        """A call: drawn by who answers it, if that is there; by its peer if not."""
        if node.below:
            yield from self._inside(node)
            return
        if not self._may():
            return
        span = node.span
        own, peer = self._who(_service(span)), self._who(span.peer or f"{span.name} …")
        arrow = "-)" if span.kind == "producer" else "->>"
        yield f"    {own}{arrow}{peer}: {escaped(span.name)}"
        if span.kind != "producer":
            yield f"    {peer}{_back(span)}{own}: {_how(span) or 'done'}"

    def _called(self, node: Node, caller: str, above: Span | None) -> Iterator[str]:
        """A service is asked, works, and answers."""
        if not self._may():
            return
        span = node.span
        own, is_sent = self._who(_service(span)), span.kind == "consumer"
        yield f"    {caller}{'-)' if is_sent else '->>'}{own}: {escaped(span.name)}"
        yield f"    activate {own}"
        skew = _skew(span, above)
        if skew:
            yield f"    Note over {caller},{own}: clocks differ by {_time(skew)} or more"
        yield from self._inside(node)
        if not is_sent:
            yield f"    {own}{_back(span)}{caller}: {_how(span) or 'done'}"
        elif span.error is not None or not span.ended:
            yield f"    Note over {own}: {_how(span)}"
        yield f"    deactivate {own}"

    def _inside(self, node: Node) -> Iterator[str]:
        if node.below and self._depth == DEEPEST:
            self._left = min(self._left, 0) - len(node.below)
            return
        self._depth += 1
        yield from self._groups(node)
        self._depth -= 1

    def _groups(self, node: Node) -> Iterator[str]:
        for _, group in groupby(node.below, _alike):
            same = list(group)
            if len(same) == 1 or not same[0].is_leaf:
                for one in same:
                    yield from self._node(one, node.span)
                continue
            lines = list(self._node(same[0], node.span))
            if lines:
                spent = sum(int(it.span.seconds * 1e9) for it in same)
                yield f"    loop {len(same)} times, {_time(spent)}"
                yield from (f"    {line}" for line in lines)
                yield "    end"

    def _may(self) -> bool:
        """Whether there is room for another; once, that there is none."""
        self._left -= 1
        return self._left >= 0


def _alike(node: Node) -> tuple[object, ...]:
    """Neighbours of one key are drawn once; what has something below it is like nothing else."""
    span = node.span
    told = (
        span.kind,
        span.name,
        span.service,
        span.peer,
        span.error,
        span.status,
        bool(span.ended),
    )
    return told if node.is_leaf else (id(node),)


def _service(span: Span) -> str:
    return span.service or "unknown service"


def _back(span: Span) -> str:
    return "--x" if span.error is not None or not span.ended else "-->>"


def _how(span: Span, before: str = "") -> str:
    """Its status, how long it took, and what went wrong."""
    if not span.ended:
        return f"{before}has not ended"
    told = [] if span.status is None else [str(span.status)]
    told.append(_time(span.ended - span.began))
    if span.error is not None:
        told.append(escaped(span.error))
    return before + ", ".join(told)


def _skew(span: Span, above: Span | None) -> int:
    """Nanoseconds by which a call sticks out of its caller's, where clocks can differ."""
    if above is None or not (span.ended and above.ended) or _service(span) == _service(above):
        return 0
    late = 0 if span.kind == "consumer" else span.ended - above.ended
    found = max(above.began - span.began, late)
    return found if found >= SKEW else 0


def _time(nanoseconds: int) -> str:
    seconds = max(0, nanoseconds) / 1e9
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.2f} s"
