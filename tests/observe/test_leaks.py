"""What only grows is told, with the line that makes it; what grows and stops is not."""

import asyncio
import gc
import os
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from megahertz.observe import leaks as module
from megahertz.observe.leaks import Growth, Leaks, counted, site

HERE = __file__


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(1, 4))
def test_only_who_grows_in_every_window_and_is_above_its_threshold_is_suspected(counts, windows):
    growth = Growth(windows, {"tasks": 10})

    for at, count in enumerate(counts):
        last = counts[max(0, at - windows) : at + 1]
        grown = len(last) == windows + 1 and sorted(set(last)) == last
        expected = {"tasks": tuple(last)} if grown and count >= 10 else {}
        assert growth.add({"tasks": count}) == expected


def test_a_type_that_is_new_begins_at_none():
    growth = Growth(1, {})

    growth.add({})
    assert growth.add({"objects of a.B": 10_000}) == {"objects of a.B": (0, 10_000)}


def detector(counts, **options):
    told = []
    values = iter(counts)
    return told, Leaks(told.append, windows=2, count=lambda: {"tasks": next(values)}, **options)


def test_a_leak_is_told_once(monkeypatch):
    monkeypatch.setattr(module, "site", lambda kind: f"made {kind}")
    told, leaks = detector(range(1000, 2000))

    for _ in range(20):
        leaks.look()

    assert [(leak.kind, leak.counts, leak.where) for leak in told] == [
        ("tasks", (1000, 1001, 1002, 1003), "made tasks")
    ]
    assert not tracemalloc.is_tracing()


def test_lines_are_looked_for_aside(monkeypatch):
    """That takes a second where much was traced, and the loop goes on meanwhile."""
    monkeypatch.setattr(module, "site", lambda kind: f"made {kind}")
    work = []
    told, leaks = detector(range(1000, 2000), aside=work.append)
    for _ in range(4):
        leaks.look()
    assert (told, tracemalloc.is_tracing()) == ([], True)

    (tell,) = work
    tell()
    assert [leak.where for leak in told] == ["made tasks"]
    assert not tracemalloc.is_tracing()


def test_what_is_closed_while_lines_are_looked_for_names_none(monkeypatch):
    monkeypatch.setattr(tracemalloc, "is_tracing", lambda: True)
    assert site("memory") == site("objects of nothing.Known") == ""


def test_what_stops_growing_while_it_is_traced_is_none():
    told, leaks = detector([300, 301, 302, 302, 303, 303, 304, 304])

    for _ in range(8):
        leaks.look()

    assert told == []
    assert not tracemalloc.is_tracing()


def test_without_tracing_it_is_told_at_once(monkeypatch):
    monkeypatch.setattr(module, "site", lambda kind: "")
    told, leaks = detector([300, 301, 302, 303], sites=False)

    for _ in range(3):
        leaks.look()

    assert told[0].counts == (300, 301, 302, 302 + 1)


def test_tracing_ends_with_it():
    _, leaks = detector(range(300, 400))
    for _ in range(3):
        leaks.look()
    assert tracemalloc.is_tracing()
    leaks.close()
    assert not tracemalloc.is_tracing()


class Kept:
    """What a service forgets to throw away."""


def windows(plant, least):
    """Plants, window after window, and gives what was told."""

    async def run():
        told, kept = [], []
        leaks = Leaks(told.append, windows=2, least=least)
        for _ in range(6):
            await plant(kept)
            leaks.look()
        leaks.close()
        for it in kept:
            if isinstance(it, asyncio.Task):
                it.cancel()
            elif not isinstance(it, Kept):
                it.close()
        return told

    return asyncio.run(run())


def line_of(text):
    with open(HERE) as file:
        return next(number for number, line in enumerate(file, 1) if text in line)


def test_tasks_that_never_end_are_named_by_their_function():
    async def forgotten():
        await asyncio.Event().wait()

    async def plant(kept):
        kept += [asyncio.create_task(forgotten()) for _ in range(20)]
        await asyncio.sleep(0)

    told = windows(plant, {"tasks": 20})

    (leak,) = [leak for leak in told if leak.kind == "tasks"]
    assert leak.where.startswith(f"{HERE}:{line_of('async def forgotten')} in ")
    assert leak.where.endswith(f"waits at line {line_of('await asyncio.Event()')}")


def test_objects_are_named_by_the_line_that_makes_them():
    async def plant(kept):
        kept += [Kept() for _ in range(100)]  # planted objects

    kind = f"objects of {Kept.__module__}.{Kept.__qualname__}"
    told = windows(plant, {kind: 100})

    (leak,) = [leak for leak in told if leak.kind == kind]
    assert leak.where == f"{HERE}:{line_of('# planted objects')}"
    assert leak.counts == (100, 200, 300, 400)


def test_files_are_named_by_the_line_that_opens_them():
    async def plant(kept):
        kept += [open(os.devnull, "rb", 0) for _ in range(20)]  # noqa: ASYNC230,SIM115 planted files

    told = windows(plant, {"files": 20})

    (leak,) = [leak for leak in told if leak.kind == "files"]
    assert leak.where == f"{HERE}:{line_of('planted ' + 'files')}"


def test_memory_is_named_by_the_line_that_holds_most():
    tracemalloc.start(4)
    try:
        held = [bytes(1 << 22)]  # planted memory
        assert site("memory") == f"{HERE}:{line_of('# planted memory')}"
        assert held
    finally:
        tracemalloc.stop()


def test_a_service_that_is_well_leaks_nothing():
    async def plant(kept):
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(50)))
        made = [Kept() for _ in range(1000)]
        assert made

    assert windows(plant, {"tasks": 1, "files": 1 << 20}) == []


def test_what_is_counted():
    async def count():
        return counted()

    gc.collect()
    found = asyncio.run(count())
    assert found["tasks"] == 1
    assert found["files"] >= 3
    assert found["memory"] > 1 << 20
    assert found["objects of builtins.dict"] > 0


def test_what_is_not_traced_has_no_place():
    assert site("files") == ""


def test_tasks_of_other_coroutines():
    """Cython's and our engine's have no code object."""

    class Odd:
        def get_coro(self):
            return object()

    assert module._waits(Odd()) == ""
