"""When a run will reach an amount, from how fast it has grown lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.reader import Reader

WINDOW_NS = 7 * 24 * 3_600_000_000_000
"""The last seven days, restarts and idle hours included: they will come again."""
MIN_SPAN_NS = 6 * 3_600_000_000_000
"""Less than this is no trend."""
HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Growth:
    """A run's total at the last reading, and at the start of the window before it. FLOP, Unix ns."""

    flop: int
    at_ns: int
    earlier_flop: int
    earlier_ns: int

    def reaches_at_ns(self, flop: int) -> int | None:
        """When the total will be `flop` if it grows on as in the window; None when it does not grow or is too young."""
        span_ns, gained = self.at_ns - self.earlier_ns, self.flop - self.earlier_flop
        if span_ns < MIN_SPAN_NS or gained <= 0:
            return None
        return self.at_ns + max(flop - self.flop, 0) * span_ns // gained


def growth(reader: Reader, run_id: str, basis: str, flop: int, first_ns: int, at_ns: int) -> Growth:
    """Growth of a run's total up to `at_ns`, where it is `flop`; its curve says where it was a window before.

    A meter without a reading in an hour stands where it stood before, so the maximum up to the hour is taken per meter.
    A run younger than the window is measured from the end of its first hour: what came before its first reading has no
    length of time to it.
    """
    hour = max((at_ns - WINDOW_NS) // HOUR_NS, first_ns // HOUR_NS + 1)
    result = reader.query(
        "SELECT sum(toUInt256(f)) FROM (SELECT max(coalesce(c.flop, c.flop_low)) AS f FROM curve AS c "
        "WHERE run = {run:String} AND basis = {basis:String} AND hour < toDateTime({hour:Int64}, 'UTC') "
        "GROUP BY meter_id)",
        {"run": run_id, "basis": basis, "hour": hour * 3_600},
    )
    return Growth(flop, at_ns, int(result.rows[0][0] or 0), hour * HOUR_NS)
