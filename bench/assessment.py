"""How long an assessment takes: 10,000 runs held against twelve lines, all of them and after commits of all sizes.

The ledger is filled by the engine itself. Half of the runs belong to models, each of ten runs. What a commit changes is
one more reading of so many runs, far below every rung, as nearly all commits are.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.assessment.rules import Rules
from ledger.catalogue_record import lines
from ledger.declarations import Declaration
from ledger.journal import Statement
from ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = int(os.environ.get("BENCH_RUNS", "10000"))
METERS = 4
LINES = 12
TIMES = int(os.environ.get("BENCH_TIMES", "5"))
CHANGED = (0, 1, 100, 1_000, RUNS)
TARGET_S = 1.0
NOW_NS = 1_795_444_000_000_000_000
HOUR_NS = 3_600_000_000_000
_FILL = """
INSERT INTO meters (run, meter_id, agent, cluster, node, incarnation, device, purpose, basis, method, dtype,
    attribution, first_at_ns, last_at_ns, flop, flop_low, flop_high, observed_ns)
SELECT concat('run-', toString(intDiv(number, {meters}))), sipHash64(number),
    concat('agent-', toString(number % 10000)), 'cluster', 'node', toUUID('018f0000-0000-7000-8000-000000000000'),
    concat('GPU-', toString(number)), 'pre-training', 'hardware', 'gpm-cycles', 'bf16', 'exact', {now} - {age}, {now},
    toUInt128({step}) * toUInt128('1000000000000000'), toUInt128({step}) * toUInt128('950000000000000'),
    toUInt128({step}) * toUInt128('1050000000000000'), {age}
FROM numbers({count})
"""


def measure() -> dict[str, Any]:
    """Seconds of wall and of CPU time, median, by how much had changed."""
    directory = Path(tempfile.mkdtemp(prefix="assessment-"))
    try:
        return _measure(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _measure(directory: Path) -> dict[str, Any]:
    clock = [NOW_NS]
    ledger = Ledger.open(directory, lambda: clock[0])
    try:
        applying = _add_lines(ledger)
        models = [Declaration(f"run-{n}", f"model-{n // 10}").statement("bench") for n in range(RUNS // 2)]
        ledger.append(models)
        _record(ledger, RUNS, 1)
        found: dict[str, Any] = {"runs": RUNS, "meters": RUNS * METERS, "lines": applying, "models": RUNS // 20}
        ledger.watch(Rules(forecast_slice_s=0.3))
        found["first, of everything"] = _timed(lambda: ledger.raise_alerts("bench"))
        step = 2
        for changed in CHANGED:
            took = []
            for _ in range(TIMES):
                # Beyond the slack by which what was just recorded is read once more.
                time.sleep(3.1)
                ledger.raise_alerts("bench")
                time.sleep(3.1)
                if changed:
                    _record(ledger, changed, step)
                step += 1
                clock[0] += 10**9
                took.append(_timed(lambda: ledger.raise_alerts("bench")))
            found[f"after a commit that changed {changed} runs"] = {
                name: sorted(one[name] for one in took)[TIMES // 2] for name in ("wall_s", "cpu_s")
            }
            _say(f"{changed}: {found[f'after a commit that changed {changed} runs']}")
        clock[0] += HOUR_NS
        found["hourly, of everything"] = _timed(lambda: ledger.raise_alerts("bench"))
        found["met"] = found[f"after a commit that changed {RUNS} runs"]["wall_s"] <= TARGET_S
        return found
    finally:
        ledger.close()


def _add_lines(ledger: Ledger) -> int:
    ledger.publish_catalogue()
    known = [line for line in lines(ledger) if line.id == "eu-aia-51-2"]
    there = 4
    policies = ("everything", "eu-cumulative", "eu-parameter-updating", "us-training")
    own = [
        {
            **known[0].data(),
            "id": f"own-{n}",
            "amount": str(10**25 + n * 10**24),
            "policy": policies[n % 4],
            "catalogue": "",
        }
        for n in range(LINES - there)
    ]
    ledger.append([Statement("threshold", "bench", data) for data in own])
    return LINES


def _record(ledger: Ledger, runs: int, step: int) -> None:
    values = {"meters": METERS, "now": NOW_NS + step * 10**9, "age": 5 * 24 * HOUR_NS, "step": step}
    ledger._store.command(_FILL.format(count=runs * METERS, **values))


def _timed(work: Callable[[], object]) -> dict[str, float]:
    began, used = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": round(time.perf_counter() - began, 3), "cpu_s": round(time.process_time() - used, 3)}


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
