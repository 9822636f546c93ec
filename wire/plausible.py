"""What is signed and well formed but cannot be true.

Such a batch is evidence all the same: it is stored with its reason, kept out of totals, and raised as a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wire.batch import Batch

FUTURE_TOLERANCE_NS = 10 * 60 * 1_000_000_000
"""How far a node's clock may run ahead of the collector's."""


def implausible(batch: Batch, now_ns: int) -> str | None:
    """Why `batch` cannot be true, naming the field; None when nothing speaks against it. `now_ns` is Unix time."""
    return _from_the_future(batch, now_ns)


def _from_the_future(batch: Batch, now_ns: int) -> str | None:
    latest = max(batch.readings.last("at_ns"), default=0)
    for field, at_ns in (("sealed_at", batch.sealed_at_ns), ("readings.at_ns", latest)):
        if at_ns > now_ns + FUTURE_TOLERANCE_NS:
            return f"{field}: {(at_ns - now_ns) // 1_000_000_000} s in the future"
    return None
