"""When a run will reach an amount, from how fast its meters have grown lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.reader import Reader

WINDOW_HOURS = 7 * 24
"""The last seven days, restarts and idle hours included: they will come again."""
MIN_SPAN_HOURS = 6
"""Less than this is no trend."""
HOUR_NS = 3_600_000_000_000

# A meter was born when what it observed began: its last reading less the time that it covers.
_START = """
SELECT min(born) FROM (
    SELECT intDiv(max(last_at_ns) - coalesce(max(observed_ns), 0), 3600000000000) AS born FROM meters
    WHERE run = {run:String} AND basis = {basis:String} GROUP BY meter_id)
"""

# Agents report at times of their own, so the total's steps are nobody's pace. Each meter has its own: one that was born
# in the window grew from zero in it; an older one since its last reading before the window, or its first one in it.
_PACE = """
SELECT sum(intDiv(gained, hours)) FROM (
    SELECT
        toInt256(m.f)
            - multiIf(b.born >= {from:Int64}, 0, early > 0, toInt256(f_early), toInt256(f_late)) AS gained,
        {hour:Int64} - multiIf(b.born >= {from:Int64}, {from:Int64}, early > 0, early, late) AS hours
    FROM (
        SELECT
            meter_id, max(p.f) AS f,
            maxIf(p.h, p.h <= {from:Int64}) AS early, argMaxIf(p.f, p.h, p.h <= {from:Int64}) AS f_early,
            minIf(p.h, p.h > {from:Int64}) AS late, argMinIf(p.f, p.h, p.h > {from:Int64}) AS f_late
        FROM (
            SELECT meter_id, intDiv(toUnixTimestamp(hour), 3600) AS h, max(coalesce(c.flop, c.flop_low)) AS f
            FROM curve AS c WHERE run = {run:String} AND basis = {basis:String} GROUP BY meter_id, h) AS p
        GROUP BY meter_id) AS m
    INNER JOIN (
        SELECT meter_id, intDiv(max(last_at_ns) - coalesce(max(observed_ns), 0), 3600000000000) AS born FROM meters
        WHERE run = {run:String} AND basis = {basis:String} GROUP BY meter_id) AS b USING meter_id
    WHERE hours > 0)
"""


@dataclass(frozen=True, slots=True)
class Growth:
    """A run's total (FLOP) at a time (Unix ns), and its pace in the window before (FLOP per hour)."""

    flop: int
    at_ns: int
    flop_per_hour: int

    def reaches_at_ns(self, flop: int) -> int | None:
        """When the total will be `flop` at this pace; None when it does not grow or is too young to tell."""
        if self.flop_per_hour <= 0:
            return None
        return self.at_ns + max(flop - self.flop, 0) * HOUR_NS // self.flop_per_hour


def growth(reader: Reader, run_id: str, basis: str, flop: int, at_ns: int) -> Growth:
    """Growth of a run up to `at_ns`, where its total is `flop`."""
    hour = at_ns // HOUR_NS
    run = {"run": run_id, "basis": basis}
    began = int(reader.query(_START, run).rows[0][0])
    since = max(began, hour - WINDOW_HOURS)
    if hour - since < MIN_SPAN_HOURS:
        return Growth(flop, at_ns, 0)
    pace = reader.query(_PACE, {**run, "hour": hour, "from": since}).rows[0][0]
    return Growth(flop, at_ns, int(pace or 0))
