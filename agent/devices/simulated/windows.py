"""Windows of time, from their start to before their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Window(NamedTuple):
    """A stretch of time, in Unix time or from the scenario's start."""

    start_ns: int
    end_ns: int


def merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The same time in the fewest windows, in order."""
    found: list[Window] = []
    for window in sorted(windows):
        if found and window.start_ns <= found[-1].end_ns:
            found[-1] = Window(found[-1].start_ns, max(found[-1].end_ns, window.end_ns))
        else:
            found.append(window)
    return tuple(found)


def without(window: Window, holes: Sequence[Window]) -> Iterator[Window]:
    """What is left of `window` between `holes`, which are merged."""
    start, end = window
    for hole_start, hole_end in holes:
        if start < min(hole_start, end):
            yield Window(start, min(hole_start, end))
        start = max(start, hole_end)
    if start < end:
        yield Window(start, end)


def covering(windows: Iterable[Window], at: int) -> bool:
    """Whether one of `windows` holds at `at`."""
    return any(start <= at < end for start, end in windows)
