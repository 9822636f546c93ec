"""How far every run, model, system, modification and cluster has come towards every line, now or on a past day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ledger.capacity import capacity_standing
from ledger.catalogue_record import lines, policy_ids
from ledger.errors import Refused

if TYPE_CHECKING:
    from datetime import date

    from ledger.reader import Reader

ALL_THERE_IS = "2106-01-01 00:00:00"
"""The latest second that an hour of the curve can have: totals come from the meters themselves then."""
STANDING_COLUMNS = (
    "subject_kind",
    "subject",
    "original",
    "threshold",
    "applies",
    "policy",
    "basis",
    "unit",
    "flop",
    "flop_low",
    "flop_high",
    "disputed_flop",
    "excluded_flop",
    "operator",
    "line_flop",
    "share",
    "crossed",
    "crossed_by_upper_bound",
    "crossed_with_disputed",
    "within_margin",
    "condition",
    "foreseeable_at",
    "notify_by",
)
_FORESEEABLE = "SELECT subject_kind, subject, threshold, line_flop, foreseeable_at, notify_by FROM foreseeable"
_UNFORESEEN = (None, None)
APPLYING = ("in force", "guidance", "coming")


def standing(
    reader: Reader, today: date, as_of: date | None = None, policy: str = "", *, every_line: bool = False
) -> list[dict[str, Any]]:
    """One row per subject, basis and line, by subject and then the nearest line; `share` is the counted estimate over
    the line, None where there are bounds only. Without `every_line` only those that apply on the day.

    `as_of` takes totals as they stood at the end of that day (UTC) and the lines as they stood on it, with what is
    declared today. `policy` counts by another policy than each line's own. Raises `Refused` for a day to come or a
    policy that is not on record.
    """
    if as_of is not None and as_of > today:
        raise Refused(f"{as_of} has not been yet: an assessment knows totals up to today")
    if policy and policy not in (known := policy_ids(reader)):
        raise Refused(f"policy {policy!r} is none of: {', '.join(known)}")
    day = as_of or today
    recorded = {line.id: line for line in lines(reader)}
    applies = {line.id: line.standing_on(day) for line in recorded.values()}
    shown = [name for name, how in applies.items() if every_line or how in APPLYING]
    until = ALL_THERE_IS if as_of is None or as_of == today else f"{as_of + timedelta(days=1)} 00:00:00"
    found = reader.query(
        "SELECT * FROM threshold_status_at(until = {until:DateTime('UTC')}, policy = {policy:String}) AS s "
        "WHERE s.threshold IN {shown:Array(String)}",
        {"until": until, "policy": policy, "shown": shown},
    ).dicts()
    found += capacity_standing(reader, [recorded[name] for name in shown])
    moments = {tuple(row[:4]): (row[4], row[5]) for row in reader.query(_FORESEEABLE).rows}
    for row in found:
        key = (row["subject_kind"], row["subject"], row["threshold"], row["line_flop"])
        row["foreseeable_at"], row["notify_by"] = moments.get(key, _UNFORESEEN)
    order = {name: place for place, name in enumerate(recorded)}
    return sorted(
        ({**row, "applies": applies[row["threshold"]]} for row in found),
        key=lambda row: (row["subject_kind"], row["subject"], row["basis"], order[row["threshold"]]),
    )


def crossed_in_force(rows: list[dict[str, Any]]) -> bool:
    """Whether an estimate has crossed a line that binds on the day, on its own terms."""
    return any(row["crossed"] and row["applies"] == "in force" and row["condition"] != "not declared" for row in rows)
