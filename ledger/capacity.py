"""Lines on what a cluster could do at most, against the inventory.

The texts say "theoretical maximum" operations per second, one of them "without sparsity", and none names a number
format. The point is the dense rate of the format that is trained in (bfloat16 on what has it) at the clock of the
datasheet; the upper bound is the fastest format with all pipes at the highest clock. A device that the FLOP table does
not know leaves the point open. How the cluster is networked, which the texts ask about too, is not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compute.accelerators import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.reader import Reader
    from ledger.thresholds import Threshold


def capacity_standing(reader: Reader, lines: Sequence[Threshold]) -> list[dict[str, Any]]:
    """One row per cluster and line on clusters, with the columns of `ledger.standing`."""
    lines = [line for line in lines if line.subject == "cluster" and line.amount is not None]
    if not lines:
        return []
    clusters: dict[str, list[tuple[int | None, int, int]]] = {}
    for cluster, accelerator, devices, high, unknown in reader.query(
        "SELECT cluster, accelerator, devices, flop_per_s_max, unknown_devices FROM cluster_capacity"
    ).rows:
        dense = None if accelerator is None else _dense_flop_per_s(accelerator)
        clusters.setdefault(cluster, []).append((None if dense is None else dense * devices, high or 0, unknown))
    return [_row(cluster, parts, line) for cluster, parts in sorted(clusters.items()) for line in lines]


def _dense_flop_per_s(accelerator: str) -> int | None:
    known = table().get(accelerator)
    if known is None:
        return None
    rate = known.tensor.get(known.training_dtype)
    return None if rate is None else rate * known.sm_count * known.clock_tensor_mhz * 1_000_000


def _row(cluster: str, parts: Sequence[tuple[int | None, int, int]], line: Threshold) -> dict[str, Any]:
    low = sum(dense or 0 for dense, _, _ in parts)
    point = None if any(dense is None for dense, _, _ in parts) else low
    high = None if any(unknown for _, _, unknown in parts) else max(sum(high for _, high, _ in parts), low)
    crossed: bool | None
    if point is not None or line.crossed_by(low):
        crossed = line.crossed_by(low)
    else:
        crossed = False if high is not None and not line.crossed_by(high) else None
    return {
        "subject_kind": "cluster",
        "subject": cluster,
        "threshold": line.id,
        "basis": "inventory",
        "flop": point,
        "flop_low": low,
        "flop_high": high,
        "unit": line.unit,
        "operator": line.operator,
        "line_flop": line.amount,
        "share": None if point is None else point / line.amount_flop,
        "crossed": crossed,
        "crossed_by_upper_bound": None if high is None else line.crossed_by(high),
        "condition": "not declared" if line.co_conditions else "",
    }
