"""The curves of many runs, read in one query, as growth hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.reader import Reader

HOUR_NS = 3_600_000_000_000
PAST_HOURS = 90 * 24
"""How much of a run's past is read."""
LATE = 1.5
"""Who is silent for longer than this many of its usual intervals between reports has stopped."""

# Of two bases the one that is followed: measured before reported, and a point before bounds. What was imported or
# corrected is a part of the total and none of its growth.
_SERIES = """
SELECT
    t.run_id, t.basis, toInt256(t.flop) + coalesce(a.adjusted, toInt256(0)), t.flop, t.began_ns, t.last_ns,
    h.hours, h.stood,
    d.planned_flop, toUnixTimestamp64Nano(d.planned_end)
FROM
(
    SELECT
        run_id, basis, flop,
        toUnixTimestamp64Nano(last_at) AS last_ns,
        intDiv(coalesce(observed_ns, 0) + coalesce(gap_ns, 0), devices) AS covered_ns,
        least(toUnixTimestamp64Nano(first_at), toInt64(last_ns - covered_ns)) AS began_ns
    FROM run_totals WHERE run_id IN {runs:Array(String)} AND flop IS NOT NULL
    ORDER BY run_id, basis = 'hardware' DESC
    LIMIT 1 BY run_id
) AS t
LEFT JOIN
(
    SELECT run_id, basis, groupArray(hour_index) AS hours, groupArray(flop) AS stood
    FROM
    (
        SELECT run_id, basis, intDiv(toUnixTimestamp(hour), 3600) AS hour_index, flop FROM run_hours
        WHERE run_id IN {runs:Array(String)} AND hour >= fromUnixTimestamp({since:UInt32})
        ORDER BY run_id, basis, hour
    )
    GROUP BY run_id, basis
) AS h ON h.run_id = t.run_id AND h.basis = t.basis
LEFT JOIN
(
    SELECT run_id, basis, sum(coalesce(flop, flop_low)) AS adjusted FROM adjustments
    WHERE run_id IN {runs:Array(String)} GROUP BY run_id, basis
) AS a ON a.run_id = t.run_id AND a.basis = t.basis
LEFT JOIN run_declarations AS d ON d.run_id = t.run_id
"""


@dataclass(frozen=True, slots=True)
class Series:
    """How a run has grown: `growth` in FLOP per hour, one number per hour up to `at_ns` (Unix ns), oldest first.

    `flop` is the exact total with what was imported and corrected; the growth is for estimating alone.
    """

    run_id: str
    basis: str
    flop: int
    at_ns: int
    growth: tuple[float, ...]
    planned_flop: int | None = None
    planned_end_ns: int | None = None


def read_series(reader: Reader, run_ids: Sequence[str], now_ns: int) -> dict[str, Series]:
    """Of every run that has a point estimate on some basis. `now_ns` is when silence is judged."""
    since_s = max(now_ns // HOUR_NS - PAST_HOURS, 0) * 3_600
    found = {}
    for row in reader.query(_SERIES, {"runs": list(run_ids), "since": since_s}).rows:
        run_id, basis, total, measured, began_ns, last_ns, hours, stood, planned_flop, planned_end_ns = row
        steps = _steps(dict(zip(hours, stood, strict=True)), int(measured), last_ns // HOUR_NS)
        growth, at_ns = hourly(steps, began_ns, last_ns, now_ns)
        found[run_id] = Series(run_id, basis, int(total), at_ns, growth, planned_flop, planned_end_ns)
    return found


def _steps(stood: dict[int, int], measured: int, last_hour: int) -> list[tuple[int, float]]:
    """What each hour added, FLOP. The curve may be as old as its last refresh: the rest came since."""
    stood = {**stood, last_hour: max(measured, stood.get(last_hour, 0))}
    hours = sorted(stood)
    first = (hours[0], float(stood[hours[0]]))
    return [first, *((after, float(stood[after] - stood[before])) for before, after in pairwise(hours))]


def hourly(
    steps: Sequence[tuple[int, float]], began_ns: int, last_ns: int, now_ns: int
) -> tuple[tuple[float, ...], int]:
    """Growth by the hour, and when it ends: at the last reading, or now if a next one is overdue.

    `steps` are hours (Unix ns over `HOUR_NS`) with what each added, FLOP, in order. A run whose agents report less
    often than hourly adds much in few hours: each such step is spread evenly over the time since the one before.
    """
    grew = [(hour, flop) for hour, flop in steps if flop > 0] or [(steps[-1][0], 0.0)]
    began = began_ns // HOUR_NS
    usual = median_low([after - before for (before, _), (after, _) in pairwise(grew)] or [1])
    at_ns = now_ns if now_ns - last_ns > max(LATE * usual, 2) * HOUR_NS else max(last_ns, began_ns)
    end = max(at_ns // HOUR_NS, began + 1)
    start = max(began, end - PAST_HOURS)
    growth = [0.0] * (end - start)
    before = began - 1
    for place, (hour, flop) in enumerate(grew):
        # What stood when the window began, and the first report of a run that reports rarely, took their time as well.
        spread = hour - before if place in {0, len(grew) - 1} or hour - before <= LATE * usual else usual
        first = hour - max(spread, 1) + 1
        for each in range(max(first, start), min(hour + 1, end)):
            growth[each - start] += flop / max(spread, 1)
        before = hour
    return tuple(growth), at_ns
