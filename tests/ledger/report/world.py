"""A model with all that can be behind one: runs that count, runs that do not, data from another model, an import, a
correction, alerts, and a checkpoint over it. Every amount is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.adjustments import IMPORT, Adjustment, append_new, correction
from ledger.declare import Wanted, declare
from tests.ledger.chains import NOW_NS, Chain, meter, take

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from wire.batch import Reading

DAY_NS = 86_400 * 10**9
E23 = 10**23
NASTY = "<script>alert('x')</script> & co"
RUNS: dict[str, dict[str, Any]] = {
    "pre": {"model_id": "big", "purpose": "pre-training", "dtype": "bf16", "planned_flop": 300 * E23, "devices": 2},
    "eval": {"model_id": "big", "purpose": "evaluation"},
    "lost": {"model_id": "big", "purpose": "failed segment"},
    "writing": {"model_id": "writer", "purpose": "synthetic data"},
    NASTY: {"model_id": "writer", "purpose": "pre-training"},
}
COUNTED = (120 + 10 - 2 + 8) * E23
"""pre, its import and its correction, and what the writer wrote."""
EXCLUDED = 3 * E23
DISPUTED = (5 + 20) * E23
"""The failed segment, and what it took to train the writer."""


def fill(ledger: Ledger) -> None:
    declare(
        ledger,
        Wanted(
            runs=RUNS,
            models={"big": {"data": ["writer"], "traits": ["generates-language"]}},
            systems={"duo": frozenset({"big", "writer"})},
        ),
        "me",
    )
    readings: list[Reading] = []
    for day in range(4):
        flop = 40 * E23 * day
        readings.append(
            at(day, 2, flop, run="pre", device="a", dtype="bf16", observed_ns=day * DAY_NS, gap_ns=day * 10**13)
        )
    readings += [
        at(3, 2, 3 * E23, run="eval", device="b"),
        at(3, 2, 5 * E23, run="lost", device="b"),
        at(3, 2, 8 * E23, run="writing", device="b"),
        at(3, 2, 20 * E23, run=NASTY, device="b"),
        meter(90 * E23, run="pre", device="rank 0", basis="architecture", method="reported-run", at_ns=NOW_NS - DAY_NS),
        at(3, 2, 7, run="unattributed", device="c", observed_ns=3_600 * 10**9),
    ]
    take(ledger, [Chain().seal(*sorted(readings, key=lambda reading: reading.at_ns))])
    imported = Adjustment(IMPORT, "pre", 10 * E23, 8 * E23, 12 * E23, NASTY, "csv:1", source="csv")
    append_new(ledger, [imported, correction("pre", -2 * E23, -2 * E23, -2 * E23, "counted twice")], "Ada")
    ledger.raise_alerts("me")


def at(day: int, spread: int, flop: int, **changes: Any) -> Reading:
    """`flop` by the end of a day, with bounds of `spread` percent."""
    low, high = flop * (100 - spread) // 100, flop * (100 + spread) // 100
    return meter(flop, low, high, at_ns=NOW_NS - (4 - day) * DAY_NS, method="gpm-cycles", **changes)
