"""Requests side by side: each in the first row that is free, so that a few rows hold them all."""

from collections.abc import Iterable

from megahertz.observe.profile.recording import Recording, Slice


def lanes_of(recording: Recording) -> list[list[Slice]]:
    """Rows of slices that do not overlap but where one lies in another.

    A span is one slice, with those below it inside; a request that was seen to wait is one slice
    for each line that it waited at.
    """
    groups = [*_traces(recording), *(track.parts for track in recording.tracks if track.parts)]
    groups.sort(key=lambda group: group[0].at)
    ends: list[float] = []
    lanes: list[list[Slice]] = []
    for group in groups:
        end = max(one.at + one.seconds for one in group)
        free = next((i for i, until in enumerate(ends) if until <= group[0].at), len(ends))
        if free == len(ends):
            ends.append(end)
            lanes.append([])
        ends[free] = end
        lanes[free] += group
    return lanes


def _traces(recording: Recording) -> Iterable[list[Slice]]:
    traces: dict[str, list[Slice]] = {}
    for one in _spans(recording):
        traces.setdefault(one.trace, []).append(one)
    for group in traces.values():
        yield sorted(group, key=lambda one: (one.at, -one.seconds))


def _spans(recording: Recording) -> list[Slice]:
    return [
        Slice(
            at=(span.began - recording.began) / 1e9,
            seconds=span.seconds,
            label=span.name,
            trace=span.trace,
        )
        for span in recording.spans
    ]
