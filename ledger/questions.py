"""What the page asks, each answered within a fraction of a second at two million meters of one run.

The total is exact, from `meters`; where a question is about parts of it, or about its course, it is answered from what
was computed ahead (`ledger/rollups.py`), as new as the last refresh.
"""

from __future__ import annotations

TOP = 20
"""How many of the largest parts are shown."""

OVERVIEW = """
SELECT run_id, basis, flop, flop_low, flop_high, bounds_only_share FROM run_totals ORDER BY flop_high DESC
"""
TOTAL = "SELECT basis, flop, flop_low, flop_high FROM run_totals WHERE run_id = {run:String}"
CURVE = """
SELECT hour, flop, flop_low, flop_high, tokens FROM run_hours
WHERE run_id = {run:String} AND basis = {basis:String} ORDER BY hour
"""
RATE = """
SELECT hour, flop - lagInFrame(flop, 1, toUInt256(0)) OVER (ORDER BY hour) AS flop_in_hour FROM run_hours
WHERE run_id = {run:String} AND basis = {basis:String} ORDER BY hour
"""
_PARTS = (
    "SELECT {part}, sum(d.flop) AS total, sum(d.flop_low) AS low, sum(d.flop_high) AS high, "
    "sum(d.observed_ns) AS observed, sum(d.gap_ns) AS gap FROM run_devices AS d FINAL "
    "WHERE d.run = {{run:String}} AND d.adds_with = 0 GROUP BY {part} ORDER BY high DESC LIMIT {top}"
)


def _by(part: str) -> str:
    return _PARTS.format(part=part, top=TOP)


BY_INCARNATION = f"""
SELECT
    i.incarnation AS incarnation, i.node AS node, i.cluster AS cluster,
    fromUnixTimestamp64Nano(toInt64(i.first_at_ns), 'UTC') AS first_at,
    fromUnixTimestamp64Nano(toInt64(i.last_at_ns), 'UTC') AS last_at,
    i.flop AS total, i.flop_low AS low, i.flop_high AS high, i.observed_ns AS observed, i.gap_ns AS gap
FROM run_incarnations AS i FINAL WHERE i.run = {{run:String}} AND i.adds_with = 0
ORDER BY high DESC LIMIT {TOP}
"""
BIRTHS = """
SELECT toStartOfHour(UUIDv7ToDateTime(incarnation, 'UTC')) AS hour, uniqExact(incarnation) AS lives
FROM run_incarnations WHERE run = {run:String} AND adds_with = 0 GROUP BY hour ORDER BY hour
"""
COVERAGE = """
SELECT
    uniqExact(device) AS devices, sum(observed_ns) AS observed, sum(gap_ns) AS gap,
    fromUnixTimestamp64Nano(toInt64(min(first_at_ns)), 'UTC') AS first_at,
    fromUnixTimestamp64Nano(toInt64(max(last_at_ns)), 'UTC') AS last_at
FROM run_devices FINAL WHERE run = {run:String} AND adds_with = 0
"""
FLEET = """
SELECT cluster, kind, name, method, count() AS devices, sum(toUInt256(flop_per_s_max)) AS flop_per_s_max
FROM devices FINAL GROUP BY cluster, kind, name, method ORDER BY devices DESC
"""
SILENT = f"""
SELECT cluster, node, fromUnixTimestamp64Nano(toInt64(max(last_at_ns)), 'UTC') AS last_at
FROM run_devices WHERE adds_with = 0
GROUP BY cluster, node HAVING last_at < {{before:DateTime64(9, 'UTC')}} ORDER BY last_at LIMIT {TOP}
"""
UNATTRIBUTED = f"""
SELECT cluster, node, sum(flop_low) AS low, sum(flop_high) AS high, sum(observed_ns) AS observed, sum(gap_ns) AS gap
FROM run_devices FINAL WHERE run = 'unattributed' GROUP BY cluster, node ORDER BY high DESC LIMIT {TOP}
"""

QUESTIONS: dict[str, str] = {
    "overview of all runs": OVERVIEW,
    "total of one run": TOTAL,
    "its curve by the hour": CURVE,
    "its rate by the hour": RATE,
    "by node": _by("d.cluster, d.node"),
    "by device": _by("d.device"),
    "by dtype": _by("d.dtype"),
    "by purpose": _by("d.purpose"),
    "by method": _by("d.method"),
    "by incarnation": BY_INCARNATION,
    "births by the hour": BIRTHS,
    "coverage": COVERAGE,
    "fleet by method": FLEET,
    "silent agents": SILENT,
    "unattributed": UNATTRIBUTED,
}
"""By what each one answers; their parameters are `run`, `basis` and `before`, as far as they have any."""
