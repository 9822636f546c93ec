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


@dataclass(frozen=True, slots=True)
class Growth:
    """A run's total at its last reading (FLOP, Unix ns), and its pace since the window began (FLOP per hour)."""

    flop: int
    at_ns: int
    flop_per_hour: int

    def reaches_at_ns(self, flop: int) -> int | None:
        """When the total will be `flop` at this pace; None when it does not grow or is too young to tell."""
        if self.flop_per_hour <= 0:
            return None
        return self.at_ns + max(flop - self.flop, 0) * HOUR_NS // self.flop_per_hour


def growth(reader: Reader, run_id: str, basis: str, flop: int, at_ns: int) -> Growth:
    """Growth of a run up to `at_ns`, where its total is `flop`.

    Agents report at times of their own, so each meter's gain counts from its own first hour in the window up to now;
    a meter that has ended slows down that way, and one that has only begun adds nothing yet.
    """
    hour = at_ns // HOUR_NS
    result = reader.query(
        "SELECT sum(intDiv(m.gained, m.hours)), max(m.hours) FROM ("
        " SELECT toInt256(max(f)) - toInt256(argMin(f, h)) AS gained, {hour:Int64} - min(h) AS hours FROM ("
        "  SELECT meter_id, intDiv(toUnixTimestamp(hour), 3600) AS h, max(coalesce(c.flop, c.flop_low)) AS f"
        "  FROM curve AS c WHERE run = {run:String} AND basis = {basis:String} AND h >= {from:Int64}"
        "  GROUP BY meter_id, h)"
        " GROUP BY meter_id HAVING hours > 0) AS m",
        {"run": run_id, "basis": basis, "hour": hour, "from": hour - WINDOW_HOURS},
    )
    pace, span_hours = result.rows[0]
    return Growth(flop, at_ns, int(pace or 0) if (span_hours or 0) >= MIN_SPAN_HOURS else 0)
