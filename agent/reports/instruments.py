"""The names a training loop reports under. Changing one breaks every loop that reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPUTE = "flopledger.training.compute"
"""Counter: FLOP this process executed (scope `rank`), or the whole run executed (scope `run`)."""
TOKENS = "flopledger.training.tokens"
"""Counter: tokens trained on, under the same scope."""

UNITS: Mapping[str, Mapping[str, int]] = {
    COMPUTE: {"FLOP": 1, "GFLOP": 10**9, "TFLOP": 10**12, "PFLOP": 10**15},
    TOKENS: {"token": 1, "tokens": 1, "1": 1, "": 1},
}
"""What one of each unit is, in FLOP or tokens. An int64 of single FLOP ends at 9.2 × 10¹⁸, hence the larger ones."""

RUN = "flopledger.run.id"
MODEL = "flopledger.model.id"
PURPOSE = "flopledger.purpose"
DTYPE = "flopledger.dtype"
SCOPE = "flopledger.scope"

DEFAULT_PURPOSE = "pre-training"
DEFAULT_SCOPE = "rank"
METHODS: Mapping[str, str] = {"rank": "reported-rank", "run": "reported-run"}
"""Two methods that are never summed: eight ranks that each report the whole run would count it eight times."""


def unit_size(instrument: str, unit: str) -> int | None:
    """What one `unit` of `instrument` is, with or without UCUM's braces; None when it is no unit of it."""
    bare = unit[1:-1] if unit.startswith("{") and unit.endswith("}") else unit
    return UNITS[instrument].get(bare)
