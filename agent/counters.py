"""Meters: what the agent adds up between its start and its end. Integers only, and they only grow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compute.cycles import Cycles
from wire.batch import COUNTER_COLUMNS, Reading

if TYPE_CHECKING:
    from compute.estimate import Estimate


class MeterKey(NamedTuple):
    """What, with the incarnation, names a meter; in the order of the wire's columns."""

    run: str
    purpose: str
    device: str
    basis: str
    method: str
    dtype: str
    attribution: str


Amounts = dict[str, int]
"""What a meter counts, by column of the wire. A column that is absent is not measured, and stays so until it is."""

_COLUMN_OF_PIPE = {name: f"{name}_cycles" for name in Cycles.__dataclass_fields__} | {"integer": "int_cycles"}


def amounts(estimate: Estimate, cycles: Cycles, **counted: int | None) -> Amounts:
    """Amounts of one interval, from its FLOP, its cycles and whatever else was counted."""
    grown = {"flop_low": estimate.low, "flop_high": estimate.high}
    if estimate.flop is not None:
        grown["flop"] = estimate.flop
    for pipe, column in _COLUMN_OF_PIPE.items():
        active = getattr(cycles, pipe)
        if active is not None:
            grown[column] = active
    for column, amount in counted.items():
        if amount is not None:
            grown[column] = amount
    return grown


class Counters:
    """All meters of one incarnation, and which of them moved since they were last sealed."""

    def __init__(self) -> None:
        self._meters: dict[MeterKey, Amounts] = {}
        self._moved_at_ns: dict[MeterKey, int] = {}

    def add(self, key: MeterKey, grown: Amounts, at_ns: int) -> None:
        """Add what happened up to `at_ns`."""
        meter = self._meters.get(key)
        if meter is None:
            self._meters[key] = dict(grown)
        else:
            for column, more in grown.items():
                meter[column] = meter.get(column, 0) + more
        self._moved_at_ns[key] = at_ns

    def moved(self) -> list[Reading]:
        """A reading of every meter that moved since `sealed`, in order of time."""
        order = sorted(self._moved_at_ns.items(), key=lambda item: item[1])
        return [self._reading(key, at_ns) for key, at_ns in order]

    def sealed(self) -> None:
        """What `moved` returned last is stored."""
        self._moved_at_ns.clear()

    def _reading(self, key: MeterKey, at_ns: int) -> Reading:
        return Reading._make((at_ns, *key, *map(self._meters[key].get, COUNTER_COLUMNS)))
