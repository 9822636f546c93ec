"""How long the account takes to answer: 100,000 devices, 90 days, 20 lives of each agent: two million meters.

The ledger is filled by the engine itself, in seconds. Every question is asked many times as a fleet at work leaves the
meters, their present lives in many parts, and again when all is merged and many more readings have come: what counts is
the number of meters.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from string import Template
from typing import Any

from ledger.migrate import migrate
from ledger.questions import QUESTIONS
from ledger.rollups import AHEAD, Rollups
from ledger.store import Store

DEVICES = int(os.environ.get("BENCH_DEVICES", "100000"))
LIVES = 20
PARTS = 8
DAYS = 90
TIMES = int(os.environ.get("BENCH_TIMES", "40"))
START_S = 1_788_220_800
"""2026-09-01T00:00:00Z."""
LIFE_S = DAYS * 86_400 // LIVES
OTHER_RUNS = 200
ASKED = {"run": "big", "basis": "hardware", "before": "2026-11-30 00:00:00"}
TARGETS_MS = {"merged": 150.0, "unmerged": 300.0, "page": 200.0}

_METERS = """
INSERT INTO meters (run, meter_id, agent, cluster, node, incarnation, device, purpose, basis, method, dtype,
    attribution, first_at_ns, last_at_ns, flop, flop_low, flop_high, int_op, sm_cycles, tensor_cycles, hmma_cycles,
    busy_ns, observed_ns, gap_ns, energy_mj)
SELECT
    if(dev % 50 = 49 AND life = 0, 'unattributed', 'big'), sipHash64(id), concat('agent-', toString(intDiv(dev, 8))),
    concat('cluster-', toString(intDiv(dev, 50000))), concat('node-', leftPad(toString(intDiv(dev, 8)), 6, '0')),
    toUUID(concat(leftPad(hex(bitShiftLeft(toUInt64(1000 * ($start + life * $life)), 16) + 28672), 16, '0'),
        leftPad(hex(sipHash64(intDiv(dev, 8), life)), 16, '0'))),
    concat('GPU-', hex(sipHash128(dev))),
    if(dev % 10 = 0, 'evaluation', 'pre-training'), 'hardware', if(dev % 4 = 0, 'gpm', 'gpm-cycles'),
    if(dev % 3 = 0, 'fp8', 'bf16'), 'exact',
    ($start + life * $life) * 1000000000, ($start + (life + 1) * $life - 1) * 1000000000,
    at * v, intDiv(at * v * 98, 100), intDiv(at * v * 102, 100), 0, v2 * 132, v2 * 60, v2 * 60,
    $life * 990000000, $life * 999000000, $life * 1000000, 272000000
FROM (
    SELECT number * $lives + $life_number AS id, number AS dev, $life_number AS life,
        toUInt128(15000000000000000000) + sipHash64(id, 1) % 1000000000000000 AS v,
        600000000000 + sipHash64(id, 2) % 10000000 AS v2, toUInt128($at) AS at
    FROM numbers($count))
"""
# One point of the curve per meter, where its life ended; the page never reads it, the refresh does.
_CURVE = """
INSERT INTO curve (run, basis, meter_id, hour, flop, flop_low, flop_high)
SELECT run, 'hardware', meter_id, toStartOfHour(toDateTime(intDiv(last_at_ns, 1000000000), 'UTC')),
    flop, flop_low, flop_high FROM meters FINAL
"""
_OTHERS = """
INSERT INTO meters (run, meter_id, agent, cluster, node, incarnation, device, purpose, basis, method, dtype,
    attribution, first_at_ns, last_at_ns, flop, flop_low, flop_high)
SELECT concat('run-', toString(number)), sipHash64(number, 9), 'agent-0', 'cluster-0', 'node-000000', generateUUIDv4(),
    'GPU-0', 'pre-training', 'hardware', 'gpm-cycles', 'bf16', 'exact', $start * 1000000000, ($start + 9) * 1000000000,
    1000, 900, 1100 FROM numbers($others)
"""
_DEVICES = """
INSERT INTO devices
SELECT concat('GPU-', hex(sipHash128(number))), 'gpu', 'NVIDIA H100 80GB HBM3', 'H100 SXM5 80GB', 132, 1980, NULL,
    '580.1', if(number % 4 = 0, 'gpm', 'gpm-cycles'), 1979000000000000, concat('agent-', toString(intDiv(number, 8))),
    'cluster-0', concat('node-', toString(intDiv(number, 8))), 0
FROM numbers($count)
"""


def measure() -> dict[str, Any]:
    """Milliseconds of wall and of CPU time, p50 and p99, for every question and state of the ledger."""
    directory = Path(tempfile.mkdtemp(prefix="ledger-queries-"))
    try:
        store = Store.embedded(directory / "ledger")
        migrate(store)
        return _measure(store, directory)
    finally:
        store.close()
        shutil.rmtree(directory, ignore_errors=True)


def _measure(store: Store, directory: Path) -> dict[str, Any]:
    began = time.monotonic()
    for life in range(LIVES - 1):
        _fill(store, life, 10)
    store.command(_with(_OTHERS))
    store.command(_with(_DEVICES, count=DEVICES))
    _merge(store)
    store.command("SYSTEM STOP MERGES")
    for reading in range(1, PARTS + 1):
        _fill(store, LIVES - 1, reading)
    _fill(store, LIVES - 1, 10)
    store.command(_with(_CURVE))
    filled_s = time.monotonic() - began
    _say(f"filled in {filled_s:.0f} s")
    began, used = time.monotonic(), time.process_time()
    Rollups(store).refresh()
    refreshed_s, refreshed_cpu_s = time.monotonic() - began, time.process_time() - used
    _say(f"computed ahead in {refreshed_s:.0f} s, {refreshed_cpu_s:.0f} s of CPU time")
    rows = {"unmerged": _rows(store)}
    unmerged = {name: _time(store, name) for name in QUESTIONS}
    total = "total of one run"
    before = store.query(QUESTIONS[total], {"run": "big"}).rows
    for life in range(LIVES - 1):
        _fill(store, life, 9, share=2)
    rows["doubled"] = _rows(store)
    doubled = _time(store, total)
    for life in range(1, 9):
        for reading in range(1, 9):
            _fill(store, life, reading, share=4)
    rows["before the last merge"] = _rows(store)
    size_mb = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file()) / 1e6
    if store.query(QUESTIONS[total], {"run": "big"}).rows != before:
        raise RuntimeError("older readings changed a total")
    _merge(store)
    rows["merged"] = _rows(store)
    merged = {name: _time(store, name) for name in QUESTIONS}
    page = max(found["wall_p99_ms"] for found in merged.values())
    return {
        "meters": DEVICES * LIVES,
        "devices": DEVICES,
        "times": TIMES,
        "filled_s": round(filled_s, 1),
        "computed_ahead_s": round(refreshed_s, 1),
        "computed_ahead_cpu_s": round(refreshed_cpu_s, 1),
        "disk_mb": round(size_mb),
        "rows": rows,
        "states": {
            "unmerged": "the present life of every agent in nine parts, the lives before merged",
            "doubled": "beside it, an older reading of half of all meters, unmerged",
            "merged": "after several more readings of meters, merged: rows are meters, whatever was read",
        },
        "unmerged": unmerged,
        "doubled": {total: doubled},
        "merged": merged,
        "total_merged_p50_ms": merged[total]["wall_p50_ms"],
        "total_unmerged_p50_ms": unmerged[total]["wall_p50_ms"],
        "slowest_page_query_p99_ms": page,
        "met": {
            "total merged": merged[total]["wall_p50_ms"] <= TARGETS_MS["merged"],
            "total unmerged": unmerged[total]["wall_p50_ms"] <= TARGETS_MS["unmerged"],
            "page": page <= TARGETS_MS["page"],
        },
    }


def _fill(store: Store, life: int, at: int, share: int = 1) -> None:
    store.command(_with(_METERS, at=at, life_number=life, count=DEVICES // share))


def _with(sql: str, **values: int) -> str:
    return Template(sql).substitute(lives=LIVES, start=START_S, life=LIFE_S, others=OTHER_RUNS, **values)


def _merge(store: Store) -> None:
    store.command("SYSTEM START MERGES")
    for table in ("meters", *AHEAD, "devices"):
        store.command(f"OPTIMIZE TABLE {table} FINAL")


def _rows(store: Store) -> int:
    sql = "SELECT sum(rows) FROM system.parts WHERE active AND table = 'meters' AND database = currentDatabase()"
    return int(store.query(sql).rows[0][0])


def _time(store: Store, name: str) -> dict[str, float]:
    sql = QUESTIONS[name]
    names = {key: value for key, value in ASKED.items() if f"{{{key}:" in sql}
    store.query(sql, names)
    wall, cpu = [], []
    for _ in range(TIMES):
        began, used = time.perf_counter(), time.process_time()
        store.query(sql, names)
        wall.append((time.perf_counter() - began) * 1e3)
        cpu.append((time.process_time() - used) * 1e3)
    found = {
        "wall_p50_ms": _quantile(wall, 0.5),
        "wall_p99_ms": _quantile(wall, 0.99),
        "cpu_p50_ms": _quantile(cpu, 0.5),
    }
    _say(f"{name}: {found}")
    return found


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
