"""How far every run has come towards every line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.totals import run_totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.reader import Reader
    from ledger.thresholds import Threshold

STANDING_COLUMNS = ("run_id", "threshold", "basis", "flop", "flop_high", "operator", "line_flop", "share", "crossed")


def standing(reader: Reader, lines: Sequence[Threshold]) -> list[dict[str, Any]]:
    """One row per run, basis and line; `share` is the estimate over the line, None where there are bounds only."""
    return [
        {
            "run_id": total.run_id,
            "threshold": line.id,
            "basis": total.basis,
            "flop": total.flop,
            "flop_high": total.flop_high,
            "operator": line.operator,
            "line_flop": line.amount_flop,
            "share": None if total.flop is None else total.flop / line.amount_flop,
            "crossed": None if total.flop is None else line.crossed_by(total.flop),
        }
        for total in run_totals(reader)
        for line in lines
    ]
