"""What is measured, by which method, who has fallen silent, and what belongs to nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger import questions
from ledger.reader import Reader
from ledger.report.methods import METHOD_LIMITS

Row = dict[str, Any]
SILENT_AFTER_NS = 15 * 60 * 10**9
"""An agent seals every few seconds; a quarter of an hour without a reading is silence."""
NODES = "SELECT uniqExact(cluster, node) AS nodes, uniqExact(cluster) AS clusters FROM devices"
COUNT_SILENT = """
SELECT count() AS silent FROM (
    SELECT cluster, node FROM run_devices WHERE adds_with = 0
    GROUP BY cluster, node HAVING max(last_at_ns) < {before_ns:UInt64})
"""
TIME = """
SELECT
    sum(toUInt256(observed_ns)) AS observed, sum(toUInt256(gap_ns)) AS gap,
    sumIf(toUInt256(observed_ns), run = 'unattributed') AS unattributed,
    sumIf(toUInt256(flop_high), run = 'unattributed') AS unattributed_flop_high
FROM run_devices FINAL WHERE adds_with = 0
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices by method, silent nodes, and device time that belongs to no known run."""

    methods: Sequence[Row]
    devices: int
    nodes: int
    clusters: int
    silent: Sequence[Row]
    silent_nodes: int
    unattributed: Sequence[Row]
    time: Row
    limits: dict[str, str]


def gather(reader: Reader, now_ns: int) -> Fleet:
    """Ask all of it."""
    before_ns = now_ns - SILENT_AFTER_NS
    before = datetime.fromtimestamp(before_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    methods = reader.query(questions.FLEET).dicts()
    size = reader.query(NODES).dicts()[0]
    return Fleet(
        methods=methods,
        devices=sum(row["devices"] for row in methods),
        nodes=size["nodes"],
        clusters=size["clusters"],
        silent=reader.query(questions.SILENT, {"before": before}).dicts(),
        silent_nodes=reader.query(COUNT_SILENT, {"before_ns": before_ns}).rows[0][0],
        unattributed=reader.query(questions.UNATTRIBUTED).dicts(),
        time=reader.query(TIME).dicts()[0],
        limits={row["method"]: METHOD_LIMITS.get(row["method"], "") for row in methods},
    )
