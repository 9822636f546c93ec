"""What people ask first: totals per run, coverage, what belongs to nobody, and where the two bases stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compute.reconcile import COUNTED, Facts, reconcile

if TYPE_CHECKING:
    from datetime import datetime

    from ledger.reader import Reader

RUN_COLUMNS = (
    "run_id",
    "model_id",
    "purpose",
    "dtype",
    "planned_flop",
    "planned_end",
    "declared_devices",
    "parent",
    "declared",
    "measured",
    "adjusted",
)
TOTAL_COLUMNS = (
    "run_id",
    "basis",
    "flop",
    "flop_low",
    "flop_high",
    "bounds_only_share",
    "tokens",
    "devices",
    "methods",
    "first_at",
    "last_at",
)
COVERAGE_COLUMNS = (
    "run_id",
    "coverage",
    "denominator",
    "devices",
    "declared_devices",
    "observed_ns",
    "idle_ns",
    "gap_ns",
    "expected_ns",
)
UNATTRIBUTED_COLUMNS = (
    "cluster",
    "node",
    "device",
    "methods",
    "flop",
    "flop_low",
    "flop_high",
    "observed_ns",
    "gap_ns",
)
RECONCILIATION_COLUMNS = (
    "run_id",
    "hardware_flop",
    "hardware_flop_low",
    "hardware_flop_high",
    "architecture_flop",
    "ratio",
    "finding",
)
RECONCILED_COLUMNS = (*RECONCILIATION_COLUMNS, "likely_causes")


@dataclass(frozen=True, slots=True)
class RunTotal:
    """Cumulative compute of a run on one basis, FLOP; `flop` is None where there are bounds only."""

    run_id: str
    basis: str
    flop: int | None
    flop_low: int
    flop_high: int
    first_at: datetime
    last_at: datetime

    @property
    def floor(self) -> int:
        """The point, or the lower bound where there is none."""
        return self.flop_low if self.flop is None else self.flop


def run_totals(reader: Reader) -> list[RunTotal]:
    """Every run's totals, hardware and architecture apart."""
    result = reader.query(
        "SELECT run_id, basis, flop, flop_low, flop_high, first_at, last_at FROM run_totals ORDER BY run_id, basis"
    )
    return [RunTotal(*row) for row in result.rows]


def reconciliation(reader: Reader) -> list[dict[str, Any]]:
    """The two bases of every run side by side, with likely causes of a gap."""
    found = rows(reader, "reconciliation", RECONCILIATION_COLUMNS, "run_id")
    for row in found:
        pair = (row["hardware_flop"], row["architecture_flop"])
        causes = reconcile(*pair, Facts(other_peaks=COUNTED)).causes if all(pair) else ()
        row["likely_causes"] = [cause.name for cause in causes]
    return found


def rows(reader: Reader, view: str, columns: tuple[str, ...], order: str) -> list[dict[str, Any]]:
    """All rows of one of our own views."""
    return reader.query(f"SELECT {', '.join(columns)} FROM {view} ORDER BY {order}").dicts()
