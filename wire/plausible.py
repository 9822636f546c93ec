"""What is signed and well formed but cannot be true.

Such a batch is evidence all the same: it is stored with its reason, kept out of totals, and raised as a finding.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from wire.batch import COUNTER_COLUMNS, KEY_COLUMNS

if TYPE_CHECKING:
    from wire.batch import Batch, Readings

FUTURE_TOLERANCE_NS = 10 * 60 * 1_000_000_000
"""How far a node's clock may run ahead of the collector's."""


def implausible(batch: Batch, now_ns: int) -> str | None:
    """Why `batch` cannot be true, naming the field; None when nothing speaks against it. `now_ns` is Unix time."""
    return _from_the_future(batch, now_ns) or _goes_back(batch.readings)


def _from_the_future(batch: Batch, now_ns: int) -> str | None:
    latest = max(batch.readings.columns["at_ns"], default=0)
    for field, at_ns in (("sealed_at", batch.sealed_at_ns), ("readings.at_ns", latest)):
        if at_ns > now_ns + FUTURE_TOLERANCE_NS:
            return f"{field}: {(at_ns - now_ns) // 1_000_000_000} s in the future"
    return None


def _goes_back(readings: Readings) -> str | None:
    columns = readings.columns
    at_ns = columns["at_ns"]
    if any(earlier > later for earlier, later in itertools.pairwise(at_ns)):
        return "readings.at_ns: goes back"
    keys = list(zip(*(columns[name] for name in KEY_COLUMNS), strict=True))
    if len(set(keys)) == len(keys):
        return None
    last_row: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(keys):
        before = last_row.get(key)
        if before is not None:
            for name in COUNTER_COLUMNS:
                old, new = columns[name][before], columns[name][row]
                if old is not None and (new is None or new < old):
                    return f"readings.{name}[{row}]: a counter that goes back"
        last_row[key] = row
    return None
