"""GPU-hours with utilisation from a CSV table: history before the agents, as an estimate by N·L·H·U."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compute.hardware import nlhu
from compute.segments import OPTIONAL as SEGMENT_OPTIONAL
from compute.segments import REQUIRED as SEGMENT_REQUIRED
from compute.segments import segment
from compute.tables import read_table
from ledger.adjustments import IMPORT, Adjustment, content_hash
from ledger.imports.checked import followed, once_each, sensible
from ledger.imports.periods import instant
from wire.rfc3339 import parse_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from compute.tables import Line

REQUIRED = ("run", *SEGMENT_REQUIRED)
OPTIONAL = (*SEGMENT_OPTIONAL, "purpose", "id")
NS_PER_HOUR = 3_600 * 10**9


def gpu_hours(data: bytes, now_ns: int, progress: Callable[[float], object] = lambda _: None) -> list[Adjustment]:
    """An import per line; raises `BadCell` naming line and field, and then there is none at all. `progress` hears of
    the share that is worked out.
    """
    lines = read_table(data, REQUIRED, OPTIONAL)
    return once_each([(line, _adjustment(line, now_ns)) for line in followed(lines, progress)], "id")


def _adjustment(line: Line, now_ns: int) -> Adjustment:
    run_id = line.need("run")
    estimated = nlhu([segment(line)])
    start, end = instant(line, "start", now_ns), instant(line, "end", now_ns)
    _check_hours(line, start, end)
    if line.get("id") is None and (start is None or end is None):
        raise line.bad("id", "give an id, or start and end: else nobody can tell this line from another like it")
    made = Adjustment(
        kind=IMPORT,
        run_id=run_id,
        flop=estimated.estimate.flop,
        flop_low=estimated.estimate.low,
        flop_high=estimated.estimate.high,
        reason=line.get("note") or "GPU-hours with utilisation, imported from a table",
        key=_key(line, run_id, start, end),
        source="csv",
        purpose=line.get("purpose") or "",
        period_start=start,
        period_end=end,
        assumptions=estimated.assumptions,
    )
    return sensible(line, made)


def _check_hours(line: Line, start: str | None, end: str | None) -> None:
    hours = line.number_or_none("hours")
    if (
        hours is not None
        and start is not None
        and end is not None
        and hours * NS_PER_HOUR > parse_ns(end) - parse_ns(start)
    ):
        raise line.bad("hours", f"{line.get('hours')} h do not fit between {start} and {end}")


def _key(line: Line, run_id: str, start: str | None, end: str | None) -> str:
    """What makes the line the same one in another file: its id, or run, purpose, device, format and time."""
    name = line.get("id")
    if name is not None:
        return f"csv:{run_id}:{name}"
    same = [run_id, line.get("purpose"), line.need("device").casefold(), line.need("precision").casefold(), start, end]
    return f"csv:{content_hash(same)}"
