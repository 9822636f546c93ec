"""What the page and forecasts read often, computed ahead: each run's curve by the hour, and what each device and each
life of an agent did.

Nothing is decided by these rows: the exact totals come from `meters`. Every value only grows with the evidence, so rows
of an older refresh lose against newer ones whatever their order, and `derive` gives the same rows again from nothing.
Only a rebuild may take evidence away; then all of it is computed again.
A run is read again when its total is not what its curve ends at; first the last two days of it, and all of it when that
does not explain the total (batches came late). Long runs are read in slices, so memory is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledger.reader import Reader
    from ledger.store import Store

HOUR_S = 3_600
TAIL_S = 48 * HOUR_S
"""How far back a refresh looks first: readings rarely come later."""
ROWS_PER_SLICE = 2_000_000
_BITS = 64
_FIELDS = ("flop", "flop_low", "flop_high", "tokens")

TOTALS = """
SELECT run, adds_with,
    sum(toUInt256(coalesce(m.flop, m.flop_low))) AS flop, sum(toUInt256(m.flop_low)) AS flop_low,
    sum(toUInt256(m.flop_high)) AS flop_high, sum(toUInt256(coalesce(m.tokens, 0))) AS tokens
FROM meters AS m FINAL GROUP BY run, adds_with ORDER BY run, adds_with
"""
ENDS = """
SELECT run, adds_with, max(flop), max(flop_low), max(flop_high), max(tokens), toUnixTimestamp(max(hour))
FROM run_curve GROUP BY run, adds_with
"""
_BEFORE = """
SELECT max(flop), max(flop_low), max(flop_high), max(tokens) FROM run_curve
WHERE run = {run:String} AND adds_with = {adds_with:UInt64} AND hour < fromUnixTimestamp({since:UInt32})
"""
_MOVED = """
SELECT DISTINCT meter_id FROM curve
WHERE run = {run:String} AND basis = {basis:String} AND hour >= fromUnixTimestamp({since:UInt32})
"""
_KIND = """
SELECT meter_id FROM meters WHERE run = {run:String} GROUP BY run, meter_id HAVING max(adds_with) = {adds_with:UInt64}
"""
# A meter stands where it stood until its next reading, so what an hour adds is the step from the highest before it.
_STEPS = """
SELECT hour, sum(f - f0) AS flop, sum(l - l0) AS flop_low, sum(h - h0) AS flop_high, sum(t - t0) AS tokens
FROM (
    SELECT meter_id, hour, f, l, h, t,
        lagInFrame(f, 1, toUInt256(0)) OVER w AS f0, lagInFrame(l, 1, toUInt256(0)) OVER w AS l0,
        lagInFrame(h, 1, toUInt256(0)) OVER w AS h0, lagInFrame(t, 1, toUInt256(0)) OVER w AS t0
    FROM (
        SELECT meter_id, hour, max(f) OVER m AS f, max(l) OVER m AS l, max(h) OVER m AS h, max(t) OVER m AS t
        FROM (
            SELECT meter_id, hour, toUInt256(max(coalesce(c.flop, c.flop_low))) AS f,
                toUInt256(max(c.flop_low)) AS l, toUInt256(max(c.flop_high)) AS h,
                toUInt256(max(coalesce(c.tokens, 0))) AS t
            FROM curve AS c
            WHERE run = {run:String} AND basis = {basis:String}
                AND meter_id BETWEEN {first:UInt64} AND {last:UInt64}
                AND meter_id IN (MOVED) AND meter_id IN (KIND)
            GROUP BY meter_id, hour)
        WINDOW m AS (PARTITION BY meter_id ORDER BY hour))
    WINDOW w AS (PARTITION BY meter_id ORDER BY hour ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))
WHERE hour >= fromUnixTimestamp({since:UInt32})
GROUP BY hour ORDER BY hour
"""
_ROWS = "SELECT count() FROM curve WHERE run = {run:String} AND basis = {basis:String}"
DEVICES = """
SELECT run, adds_with, device, cluster, node, purpose, method, dtype,
    count() AS meters, count(m.flop) AS points,
    sum(toUInt256(coalesce(m.flop, m.flop_low))) AS flop, sum(toUInt256(m.flop_low)) AS flop_low,
    sum(toUInt256(m.flop_high)) AS flop_high, sum(toUInt256(coalesce(m.observed_ns, 0))) AS observed_ns,
    sum(toUInt256(coalesce(m.gap_ns, 0))) AS gap_ns, sum(toUInt256(coalesce(m.energy_mj, 0))) AS energy_mj,
    min(m.first_at_ns) AS first_at_ns, max(m.last_at_ns) AS last_at_ns
FROM meters AS m FINAL
WHERE run = {run:String}
GROUP BY run, adds_with, device, cluster, node, purpose, method, dtype
"""

AHEAD = ("run_curve", "run_devices", "run_incarnations")
INCARNATIONS = """
SELECT run, adds_with, incarnation, any(m.agent) AS agent, any(m.cluster) AS cluster, any(m.node) AS node,
    count() AS meters,
    sum(toUInt256(coalesce(m.flop, m.flop_low))) AS flop, sum(toUInt256(m.flop_low)) AS flop_low,
    sum(toUInt256(m.flop_high)) AS flop_high, sum(toUInt256(coalesce(m.observed_ns, 0))) AS observed_ns,
    sum(toUInt256(coalesce(m.gap_ns, 0))) AS gap_ns,
    min(m.first_at_ns) AS first_at_ns, max(m.last_at_ns) AS last_at_ns
FROM meters AS m FINAL
WHERE run = {run:String}
GROUP BY run, adds_with, incarnation HAVING last_at_ns >= {since_ns:UInt64}
"""
_INCARNATIONS_STAND = """
SELECT adds_with, sum(i.flop), sum(i.flop_low), sum(i.flop_high), max(i.last_at_ns) FROM run_incarnations AS i FINAL
WHERE run = {run:String} GROUP BY adds_with
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the meters of a run that may be added stand together: FLOP with bounds, and tokens."""

    flop: int
    flop_low: int
    flop_high: int
    tokens: int

    def __add__(self, other: Standing) -> Standing:
        return Standing(*(getattr(self, name) + getattr(other, name) for name in _FIELDS))

    def above(self, other: Standing) -> bool:
        """In any of its numbers."""
        return any(getattr(self, name) > getattr(other, name) for name in _FIELDS)


ZERO = Standing(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Rollups:
    """Keeps the tables of `AHEAD` up with `meters` and `curve`."""

    store: Store

    def refresh(self) -> list[str]:
        """Bring up what has moved since the last refresh; returns the runs that had."""
        ends = {(row[0], row[1]): (Standing(*row[2:6]), row[6]) for row in self.store.query(ENDS).rows}
        totals = {(row[0], row[1]): Standing(*row[2:]) for row in self.store.query(TOTALS).rows}
        if any(end.above(totals.get(place, ZERO)) for place, (end, _) in ends.items()):
            # A rebuild took rows out: nothing that was computed from them may stay.
            for table in AHEAD:
                self.store.command(f"TRUNCATE TABLE {table}")
            ends = {}
        moved: dict[str, None] = {}
        for (run, adds_with), total in totals.items():
            end, hour = ends.get((run, adds_with), (None, 0))
            if total == end:
                continue
            points = derive(self.store, run, adds_with, max(hour - TAIL_S, 0))
            if hour and (not points or points[-1][1] != total):
                points = derive(self.store, run, adds_with)
            if points:
                self._insert(run, adds_with, points)
            moved[run] = None
        for run in moved:
            self.store.insert("run_devices", self.store.query_arrow(DEVICES, {"run": run}))
            self._incarnations(run, {adds: total for (of, adds), total in totals.items() if of == run})
        return list(moved)

    def _incarnations(self, run: str, totals: Mapping[int, Standing]) -> None:
        """Ended lives change no more, so they are written again only when the latest do not explain the total."""
        latest_ns = max((row[4] for row in self._incarnations_stand(run)), default=0)
        for since_ns in (max(latest_ns - TAIL_S * 10**9, 0), 0):
            asked = {"run": run, "since_ns": since_ns}
            self.store.insert("run_incarnations", self.store.query_arrow(INCARNATIONS, asked))
            stand = {row[0]: tuple(row[1:4]) for row in self._incarnations_stand(run)}
            if stand == {adds: (total.flop, total.flop_low, total.flop_high) for adds, total in totals.items()}:
                return

    def _incarnations_stand(self, run: str) -> Sequence[Sequence[Any]]:
        return self.store.query(_INCARNATIONS_STAND, {"run": run}).rows

    def _insert(self, run: str, adds_with: int, points: list[tuple[int, Standing]]) -> None:
        columns: dict[str, Any] = {
            "run": pa.array([run] * len(points), pa.string()),
            "adds_with": pa.array([adds_with] * len(points), pa.uint64()),
            "hour": pa.array([hour for hour, _ in points], pa.uint32()),
        }
        for name in _FIELDS:
            values = [getattr(standing, name).to_bytes(32, "little") for _, standing in points]
            columns[name] = pa.array(values, pa.binary(32))
        self.store.insert("run_curve", pa.table(columns))


def derive(store: Reader, run: str, adds_with: int, since_s: int = 0) -> list[tuple[int, Standing]]:
    """The rows of `run_curve` from an hour on (Unix seconds), from `curve` and `meters` alone but for where the run
    stood before: with `since_s` zero, from nothing.
    """
    basis = "hardware" if adds_with == 0 else "architecture"
    asked = {"run": run, "basis": basis, "adds_with": adds_with, "since": since_s}
    standing = ZERO
    sql = _STEPS.replace(
        "(MOVED)", f"({_MOVED})" if since_s else "(SELECT meter_id FROM curve WHERE run = {run:String})"
    )
    sql = sql.replace("AND meter_id IN (KIND)", f"AND meter_id IN ({_KIND})" if adds_with else "")
    if since_s:
        standing = Standing(*store.query(_BEFORE, asked).rows[0])
    steps: dict[int, Standing] = {}
    rows = store.query(_ROWS, asked).rows[0][0]
    for first, last in _slices(rows):
        for hour, *step in store.query(sql, {**asked, "first": first, "last": last}).rows:
            at = int(hour.timestamp())
            steps[at] = steps.get(at, ZERO) + Standing(*step)
    points = []
    for hour in sorted(steps):
        standing = standing + steps[hour]
        points.append((hour, standing))
    return points


def _slices(rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of meter ids, which are hashes, with about as many rows each."""
    count = rows // ROWS_PER_SLICE + 1
    edges = [(place << _BITS) // count for place in range(count + 1)]
    for first, after in pairwise(edges):
        yield first, after - 1
