"""A total over time, thinned to what a chart can show: how it grew, how fast, and how it may go on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ledger.forecast import Crossing, Forecast
from ledger.questions import CURVE
from ledger.reader import Reader

HOUR_NS = 3_600 * 10**9
POINTS = 180
"""A chart shows that many at most, and so does the table beside it."""
STEPS_HOURS = (1, 2, 3, 6, 12, 24, 48, 72, 168, 336, 720)
CONE_POINTS = 24
CROSSING_POINTS = 120
YEAR_NS = 365 * 24 * HOUR_NS


@dataclass(frozen=True, slots=True)
class Point:
    """What a total stood at (FLOP) at a time (Unix ns), and its mean rate since the point before."""

    at_ns: int
    flop: int
    flop_low: int
    flop_high: int
    flop_per_hour: int


@dataclass(frozen=True, slots=True)
class Ahead:
    """Where a total may be at a time: the middle, and the ends of the 90 % interval, FLOP."""

    at_ns: int
    flop_low: int
    flop: int
    flop_high: int


Hours = Sequence[tuple[int, int, int, int]]
"""End of an hour (Unix ns), and the total with its bounds by then."""


def hours(reader: Reader, run_id: str, basis: str) -> Hours:
    """A run's curve by the hour, as computed ahead, and straight between reports that are further apart."""
    rows = reader.query(CURVE, {"run": run_id, "basis": basis}).rows
    return straight(
        [(int(row[0].timestamp()) * 10**9 + HOUR_NS, int(row[1]), int(row[2]), int(row[3])) for row in rows]
    )


def straight(curve: Hours) -> Hours:
    """What came in one hour and is more than an hour can bring came since the report before: those hours are drawn in.

    After a stop a run brings what an hour can, and stays flat before it.
    """
    steps = list(pairwise(curve))
    fastest = max(((b[1] - a[1]) * HOUR_NS // (b[0] - a[0]) for a, b in steps), default=0)
    if not fastest:
        return curve
    began_ns = curve[0][0] - min(max(-(-curve[0][1] // fastest), 1), YEAR_NS // HOUR_NS) * HOUR_NS
    found: list[tuple[int, int, int, int]] = []
    for before, after in [((began_ns, 0, 0, 0), curve[0]), *steps]:
        apart = (after[0] - before[0]) // HOUR_NS
        if 2 * (after[1] - before[1]) > 3 * fastest:
            for hour in range(1, apart):
                flop, low, high = (a + (b - a) * hour // apart for a, b in zip(before[1:], after[1:], strict=True))
                found.append((before[0] + hour * HOUR_NS, flop, low, high))
        found.append(after)
    return found


def thinned(curves: Sequence[Hours], until_ns: int) -> list[Point]:
    """The sum of these, at even steps of whole hours; a total stands where it stood until its next hour."""
    curves = [curve for curve in curves if curve]
    if not curves:
        return []
    first_ns = min(curve[0][0] for curve in curves) - HOUR_NS
    last_ns = max(curve[-1][0] for curve in curves)
    span_hours = (last_ns - first_ns) // HOUR_NS
    step_ns = next((s for s in STEPS_HOURS if span_hours <= s * POINTS), -(-span_hours // POINTS)) * HOUR_NS
    times = [[at_ns for at_ns, *_ in curve] for curve in curves]
    points: list[Point] = []
    before_ns, before = first_ns, 0
    for end_ns in range(last_ns - (last_ns - first_ns - 1) // step_ns * step_ns, last_ns + 1, step_ns):
        found = [
            curve[bisect_right(ends, end_ns) - 1]
            for curve, ends in zip(curves, times, strict=True)
            if ends[0] <= end_ns
        ]
        flop, low, high = (sum(row[place] for row in found) for place in (1, 2, 3))
        # The last hour is not over yet.
        at_ns = max(min(end_ns, until_ns), before_ns + 1)
        points.append(Point(at_ns, flop, low, high, (flop - before) * HOUR_NS // (at_ns - before_ns)))
        before_ns, before = at_ns, flop
    return points


def cone(forecasts: Sequence[Forecast], flop: int, until_ns: int, points: int = CONE_POINTS) -> list[Ahead]:
    """How a total of `flop` may go on while these runs do. Of several the ends are added, so that the interval is
    wider than 90 % rather than narrower.
    """
    cones = [forecast.cone(until_ns, points) for forecast in forecasts]
    found = []
    for rows in zip(*cones, strict=True):
        gained = [
            [row[place] - forecast.flop for row, forecast in zip(rows, forecasts, strict=True)] for place in (1, 2, 3)
        ]
        low, middle, high = (flop + sum(values) for values in gained)
        found.append(Ahead(rows[0][0], low, middle, high))
    return found


def until(points: Sequence[Point], late_ns: Sequence[int | None], now_ns: int) -> int:
    """How far ahead to draw: to the crossings ahead and a little more, else a third of the way so far."""
    so_far = now_ns - points[0].at_ns if points else 0
    known = [at_ns for at_ns in late_ns if at_ns is not None]
    wanted = max(((at_ns - now_ns) * 5 // 4 for at_ns in known), default=so_far // 3)
    return now_ns + min(max(wanted, so_far // 8, 24 * HOUR_NS), YEAR_NS)


def together(forecasts: Sequence[Forecast], missing_flop: int) -> Crossing:
    """When these runs will have added so much. Of several the ends of the intervals are added up, as in `cone`."""
    if len(forecasts) == 1:
        return forecasts[0].crossing(forecasts[0].flop + missing_flop)
    ahead = cone(forecasts, 0, max(forecast.at_ns for forecast in forecasts) + YEAR_NS, CROSSING_POINTS)
    return Crossing(
        _reached([(a.at_ns, a.flop) for a in ahead], missing_flop),
        _reached([(a.at_ns, a.flop_high) for a in ahead], missing_flop),
        _reached([(a.at_ns, a.flop_low) for a in ahead], missing_flop),
    )


def _reached(points: Sequence[tuple[int, int]], flop: int) -> int | None:
    before: tuple[int, int] | None = None
    for at_ns, value in points:
        if value >= flop:
            if before is None or value == before[1]:
                return at_ns
            return before[0] + (at_ns - before[0]) * (flop - before[1]) // (value - before[1])
        before = (at_ns, value)
    return None
