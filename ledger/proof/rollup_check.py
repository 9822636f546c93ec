"""What was computed ahead (`ledger/rollups.py`) or by the engine, against what it was computed from.

What is computed ahead follows with a delay, so only runs that it is up with are compared; the next refresh brings up
the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.proof.findings import Finding
from ledger.rollups import DEVICES, ENDS, INCARNATIONS, TOTALS, derive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.access import Access

_CURVE = """
SELECT toUnixTimestamp(hour), max(flop), max(flop_low), max(flop_high), max(tokens) FROM run_curve
WHERE run = {run:String} AND adds_with = {adds_with:UInt64} GROUP BY hour
"""
_SAID_OF_DEVICES = """
SELECT run, adds_with, device, cluster, node, purpose, method, dtype, max(meters), max(points), max(flop),
    max(flop_low), max(flop_high), max(observed_ns), max(gap_ns), max(energy_mj), min(first_at_ns), max(last_at_ns)
FROM run_devices WHERE run = {run:String}
GROUP BY run, adds_with, device, cluster, node, purpose, method, dtype
"""
_SAID_OF_INCARNATIONS = """
SELECT run, adds_with, incarnation, any(agent), any(cluster), any(node), max(meters), max(flop), max(flop_low),
    max(flop_high), max(observed_ns), max(gap_ns), min(first_at_ns), max(last_at_ns)
FROM run_incarnations WHERE run = {run:String} GROUP BY run, adds_with, incarnation
"""
_PARTS = (
    ("run_devices", 8, _SAID_OF_DEVICES, DEVICES),
    ("run_incarnations", 3, _SAID_OF_INCARNATIONS, INCARNATIONS),
)
"""Table, length of the key, what it says, and what the meters say."""
_COMPUTED = """
SELECT name, type, default_expression FROM system.columns
WHERE database = currentDatabase() AND table = 'meters' AND default_kind = 'MATERIALIZED'
    AND name != 'recorded_at' ORDER BY name
"""


def check_rollups(ledger: Access) -> Iterator[Finding]:
    """Runs' curves, devices and lives of agents, where these are up with the meters."""
    # In this order: the meters may move on meanwhile, what is computed from them follows.
    ends = ledger.query(ENDS).rows
    totals = _totals(ledger)
    found = list(_differences(ledger, ends, totals))
    if found and _totals(ledger) == totals:
        yield from found


def _totals(ledger: Access) -> dict[tuple[str, int], tuple[int, ...]]:
    return {(row[0], row[1]): tuple(row[2:6]) for row in ledger.query(TOTALS).rows}


def _differences(
    ledger: Access, ends: Sequence[Sequence[Any]], totals: dict[tuple[str, int], tuple[int, ...]]
) -> Iterator[Finding]:
    behind = set(totals)
    for run, adds_with, *end, _ in ends:
        total = totals.get((run, adds_with))
        if total is None or any(said > true for said, true in zip(end, total, strict=True)):
            yield _finding("run_curve", f"run {run}: it stands beyond what its meters say")
        elif tuple(end) == total:
            behind.discard((run, adds_with))
            asked = {"run": run, "adds_with": adds_with}
            said_by_hour = {row[0]: tuple(row[1:]) for row in ledger.query(_CURVE, asked).rows}
            true_by_hour = {
                hour: (s.flop, s.flop_low, s.flop_high, s.tokens) for hour, s in derive(ledger, run, adds_with)
            }
            yield from _differing("run_curve", f"run {run}, hour", said_by_hour, true_by_hour)
    for run in sorted({run for run, _ in totals} - {run for run, _ in behind}):
        for table, key, *statements in _PARTS:
            said, true = (
                {tuple(row[:key]): tuple(row[key:]) for row in ledger.query(sql, {"run": run, "since_ns": 0}).rows}
                for sql in statements
            )
            yield from _differing(table, "", said, true)


def check_computed(ledger: Access) -> Iterator[Finding]:
    """Columns of `meters` that the engine fills by itself, but for when it did so."""
    for name, kind, expression in ledger.query(_COMPUTED).rows:
        # The expression may be finer than the column that keeps it.
        rows = ledger.query(
            f"SELECT run, meter_id, agent FROM meters WHERE {name} != CAST({expression} AS {kind}) "
            "ORDER BY run, meter_id LIMIT 5"
        ).rows
        for run, meter_id, agent in rows:
            detail = f"run {run}, meter {meter_id}: {name} is not {expression}"
            yield Finding("re-derived value differs", "meters", detail, agent)


def _differing(table: str, what: str, said: dict[Any, Any], true: dict[Any, Any]) -> Iterator[Finding]:
    for key in sorted(said.keys() | true.keys()):
        if said.get(key) != true.get(key):
            name = key if isinstance(key, int) else ", ".join(map(str, key))
            yield _finding(table, f"{what} {name}: it says {said.get(key)}, the meters say {true.get(key)}".strip())


def _finding(table: str, detail: str) -> Finding:
    return Finding("re-derived value differs", table, detail)
