"""A trace as Mermaid draws it: who asked whom, whatever is missing or hostile.

Mermaid 11.12 itself has parsed and drawn diagrams with these names; here its grammar's rules hold.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megahertz.observe import Span, forest, mermaid
from megahertz.observe.diagram import DEEPEST, MOST, escaped

TEXT = r"(?:[^#;\n:%<>{}\"]|#\d+;)+"
GRAMMAR = re.compile(
    rf"sequenceDiagram"
    rf"|    participant p\d+ as {TEXT}"
    rf"| +p\d+(->>|-->>|--x|-\))p\d+: {TEXT}"
    rf"| +Note over p\d+(,p\d+)?: {TEXT}"
    rf"| +(activate|deactivate) p\d+"
    rf"| +loop {TEXT}"
    rf"| +end"
)


def span(id, parent="", name="n", *, service="shop", kind="internal", at=0.0, seconds=1.0, **more):
    began = 10**18 + int(at * 1e9)
    return Span(
        trace="a" * 32,
        span=id * (16 // len(id)),
        parent=parent * (16 // len(parent)) if parent else "",
        name=name,
        service=service,
        kind=kind,
        began=began,
        ended=began + int(seconds * 1e9) if seconds else 0,
        **more,
    )


def drawn(*spans):
    lines = mermaid(spans).splitlines()
    wrong = [line for line in lines if not GRAMMAR.fullmatch(line)]
    assert wrong == []
    opened = [line.split()[1] for line in lines if line.split()[0] == "activate"]
    closed = [line.split()[1] for line in lines if line.split()[0] == "deactivate"]
    assert sorted(opened) == sorted(closed)
    return lines


def test_a_request_through_two_services():
    lines = drawn(
        span("4", "3", "SET", service="stock", kind="client", peer="redis", at=0.4, seconds=0.01),
        span(
            "3", "2", "GET /stock", service="stock", kind="server", at=0.35, seconds=0.2, status=503
        ),
        span("2", "1", "GET", kind="client", at=0.3, seconds=0.3),
        span("1", "", "GET /buy/{id}", kind="server", status=200),
        span("5", "1", "price", at=0.1, seconds=0.1),
    )
    assert lines == [
        "sequenceDiagram",
        "    participant p0 as caller",
        "    participant p1 as shop",
        "    participant p2 as stock",
        "    participant p3 as redis",
        "    p0->>p1: GET /buy/#123;id#125;",
        "    activate p1",
        "    p1->>p1: price, 100 ms",
        "    p1->>p2: GET /stock",
        "    activate p2",
        "    p2->>p3: SET",
        "    p3-->>p2: 10 ms",
        "    p2-->>p1: 503, 200 ms",
        "    deactivate p2",
        "    p1-->>p0: 200, 1.00 s",
        "    deactivate p1",
    ]


def test_what_fails_is_crossed():
    lines = drawn(
        span("1", "", "GET /", kind="server", status=500, error="no <b>"),
        span("2", "1", "SELECT", kind="client", peer="db", error="gone"),
    )
    assert "    p2--xp1: 1.00 s, gone" in lines
    assert "    p1--xp0: 500, 1.00 s, no #60;b#62;" in lines


def test_a_message_has_no_answer():
    lines = drawn(
        span("1", "", "publish", kind="producer", peer="kafka"),
        span("2", "1", "process", service="billing", kind="consumer", at=5, error="why"),
        span("3", "9", "send", kind="producer", peer="nats"),
    )
    assert "    p0-)p1: process" in lines
    assert "    Note over p1: 1.00 s, why" in lines
    assert not any("->>" in line for line in lines)
    assert any(re.fullmatch(r"    p0-\)p\d: send", line) for line in lines)


def test_orphans_roots_and_what_goes_on_are_drawn_as_they_are():
    lines = drawn(
        span("1", "9", "GET /a", kind="server"),
        span("2", "8", "job", at=1),
        span("3", "", "GET /b", kind="server", service="", at=2, seconds=0),
    )
    assert lines.count("    p0->>p1: GET /a") == 1
    assert "    Note over p1: whoever asked for it is not recorded" in lines
    assert "    participant p2 as unknown service" in lines
    assert "    p2--xp0: has not ended" in lines


@pytest.mark.parametrize(
    ("at", "seconds", "note"), [(-0.5, 1.0, "500 ms"), (0.5, 2.0, "1.50 s"), (0.1, 0.5, None)]
)
def test_clocks_that_disagree_move_nothing_and_are_noted(at, seconds, note):
    lines = drawn(
        span("1", "", "GET /", kind="server"),
        span("2", "1", "GET", kind="client"),
        span("3", "2", "GET /stock", service="stock", kind="server", at=at, seconds=seconds),
    )
    notes = [line for line in lines if "clocks" in line]
    told = f"    Note over p1,p2: clocks differ by {note} or more"
    assert notes == ([] if note is None else [told])
    assert lines.index("    p1->>p2: GET /stock") > lines.index("    p0->>p1: GET /")


def test_equal_calls_are_one():
    calls = [
        span(id, "1", "SELECT", kind="client", peer="db", at=0.1, seconds=0.01) for id in "abcd"
    ]
    lines = drawn(span("1", "", "GET /", kind="server"), *calls)
    assert "    loop 4 times, 40 ms" in lines
    assert sum("SELECT" in line for line in lines) == 1
    lines = drawn(span("1", "", "GET /", kind="server"), *calls[:2], span("e", "1", "x", at=0.2))
    assert "    loop 2 times, 20 ms" in lines


def test_the_same_span_from_two_sources_is_one():
    one = span("1", "", "GET /", kind="server", seconds=0)
    whole = span("1", "", "GET /", kind="server")
    for both in ((one, whole), (whole, one)):
        (root,) = forest(both)
        assert root.span is whole


@pytest.mark.parametrize(
    "parents", [{"1": "1"}, {"1": "2", "2": "1"}, {"1": "2", "2": "3", "3": "1"}]
)
def test_loops_are_cut(parents):
    spans = [span(id, above, f"n{id}", at=int(id)) for id, above in parents.items()]
    more = span("9", "1", "n9", at=9)
    (root,) = forest([*spans, more])
    assert root.span.name == "n1"
    assert len(drawn(*spans, more)) >= len(spans) + 1


def test_deep_and_many_are_bounded():
    deep = [span(f"{n:04x}", f"{n - 1:04x}" if n else "", f"n{n}", at=n) for n in range(3000)]
    lines = drawn(*deep)
    assert sum("->>" in line for line in lines) == DEEPEST + 1
    assert lines[-1].startswith("    Note over p0: and ")
    many = [span(f"{n:04x}", "", f"n{n}", at=n) for n in range(2 * MOST)]
    lines = drawn(*many)
    assert sum("->>" in line for line in lines) == MOST
    assert lines[-1] == f"    Note over p0: and {MOST} more"


EVIL = [
    "end", "loop", "activate p0", "style a:b#c;", "%%{init: {'theme':'dark'}}%%", "%% x", "wrap: x",
    "<script>alert(1)</script>", "-->> p0: x", "a\nend\r\nb", "#35;", "&amp;", "\"'{}[]()|`~^$@!*",
    "é日本語🎉", "\u202eabc", "", "   ", ";;;", "$$x^2$$", "x" * 300, "\u2028end\u2028", "\0",
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL, ids=repr)
def test_names_are_text(evil):
    drawn(
        span("1", "", evil, kind="server", service=evil, error=evil),
        span("2", "1", evil, kind="client", peer=evil, at=0.1),
        span("3", "1", evil, kind="client", peer=evil, at=0.2),
        span("4", "8", evil, service=evil + "2"),
    )


@given(st.text())
def test_escaping_loses_nothing_but_spaces_and_length(text):
    told = escaped(text)
    assert re.fullmatch(TEXT, told)
    back = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), told)
    shown = " ".join(text.split())
    if shown:
        assert back == (shown if len(shown) <= 80 else f"{shown[:79]}…")


@given(st.lists(st.tuples(st.sampled_from("0123456789"), st.sampled_from("0123456789ab"))))
def test_any_parents_at_all_make_trees_of_all_spans(edges):
    spans = [span(id, above, id) for id, above in edges]
    seen, waiting = [], forest(spans)
    while waiting:
        node = waiting.pop()
        seen.append(node.span.span)
        waiting += node.below
    assert sorted(seen) == sorted({one.span for one in spans})
    drawn(*spans)
