"""How fast the derived tables are made anew from the evidence: batches of 48 readings, totals equal afterwards."""

from __future__ import annotations

import resource
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.verify_speed import READINGS, fill
from ledger.ledger import Ledger

TARGET_READINGS_PER_S = 300_000
_TOTALS = "SELECT run_id, basis, flop, flop_low, flop_high, meters FROM run_totals ORDER BY run_id, basis"


def measure() -> dict[str, Any]:
    """Readings per second of wall time, with all cores."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = Ledger.open(directory, time.time_ns)
        stack.callback(ledger.close)
        fill(ledger, READINGS)
        before = ledger.query(_TOTALS).rows
        cpu_before, began = _cpu_s(), time.monotonic()
        done = ledger.rebuild()
        wall_s, cpu_s = time.monotonic() - began, _cpu_s() - cpu_before
        if ledger.query(_TOTALS).rows != before:
            raise AssertionError("the totals are not what they were")
    return {
        "readings": done.readings,
        "batches": done.batches,
        "seconds": round(wall_s, 2),
        "cpu_seconds": round(cpu_s, 2),
        "readings_per_second": round(done.readings / wall_s),
        "readings_per_core_second": round(done.readings / cpu_s),
        "totals_equal": True,
        "targets": {"readings_per_second": TARGET_READINGS_PER_S},
        "reached": done.readings / wall_s >= TARGET_READINGS_PER_S,
    }


def _cpu_s() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)
