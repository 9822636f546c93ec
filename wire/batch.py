"""What a batch holds: one agent's readings, with the events and devices behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

SCHEMA = "flopledger.batch/1"

MAX_FLOP = 2**128 - 1
MAX_COUNTER = 2**63 - 1

UNATTRIBUTED = "unattributed"
"""The run of device time that belongs to no known run."""


class Reading(NamedTuple):
    """The values of one meter at one instant. Every counter only grows within an incarnation; None is not measured.

    `flop*` are floating-point operations, `int_op` integer ones. Cycles are summed over SMs: `sm_cycles` elapsed,
    the others active. `observed_ns` is device time that a counter covers, `gap_ns` device time that none covers.
    """

    at_ns: int
    run: str
    purpose: str
    device: str
    basis: str
    method: str
    dtype: str
    attribution: str
    flop: int | None
    flop_low: int
    flop_high: int
    int_op: int | None = None
    sm_cycles: int | None = None
    tensor_cycles: int | None = None
    hmma_cycles: int | None = None
    imma_cycles: int | None = None
    dmma_cycles: int | None = None
    dfma_cycles: int | None = None
    fp64_cycles: int | None = None
    fp32_cycles: int | None = None
    fp16_cycles: int | None = None
    int_cycles: int | None = None
    busy_ns: int | None = None
    observed_ns: int | None = None
    gap_ns: int | None = None
    energy_mj: int | None = None
    tokens: int | None = None


COLUMNS = Reading._fields
KEY_COLUMNS = COLUMNS[1:8]
"""What, with the incarnation, names a meter."""
BIG_COLUMNS = ("flop", "flop_low", "flop_high", "int_op")
"""Integers past 2^64: decimal strings on the wire."""
SMALL_COLUMNS = COLUMNS[12:]
"""Integers below 2^64."""
REQUIRED_COLUMNS = frozenset({"at_ns", *KEY_COLUMNS, "flop_low", "flop_high"})
COUNTER_COLUMNS = BIG_COLUMNS + SMALL_COLUMNS


Key = tuple[str, ...]
"""What names a meter within an incarnation: the values of `KEY_COLUMNS`."""


class Readings:
    """Readings by column, the meters one after the other, each meter's in order of time.

    `columns` has one sequence per column, all of one length, with `None` for what was not measured. The first
    `counts[0]` values in each belong to `meters[0]`, and so on.
    """

    __slots__ = ("columns", "counts", "last_values", "meters")

    def __init__(
        self,
        meters: Sequence[Key],
        counts: Sequence[int],
        columns: Mapping[str, Sequence[Any]],
        last_values: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        """`last_values` is what the columns say in the last reading of each meter, and under `first_at_ns` when the
        first one was, where these are known without the columns.
        """
        self.meters = meters
        self.counts = counts
        self.columns = columns
        self.last_values = last_values

    @classmethod
    def from_rows(cls, rows: Iterable[Reading]) -> Readings:
        """The same readings, by meter and turned on their side."""
        by_meter: dict[Key, list[Reading]] = {}
        for row in rows:
            by_meter.setdefault(row[1:8], []).append(row)
        ordered = [row for meter in by_meter.values() for row in meter]
        by_column = list(zip(*ordered, strict=True)) or [()] * len(COLUMNS)
        counts = [len(meter) for meter in by_meter.values()]
        return cls(list(by_meter), counts, dict(zip(COLUMNS, by_column, strict=True)))

    def rows(self) -> Iterator[Reading]:
        """One `Reading` after the other."""
        return (Reading(*values) for values in zip(*(self.columns[name] for name in COLUMNS), strict=True))

    def spans(self) -> list[tuple[int, int]]:
        """Where each meter's readings begin and end."""
        return list(pairwise(accumulate(self.counts, initial=0)))

    def last(self, name: str) -> Sequence[Any]:
        """The last value of each meter in a column other than those of the key: its maximum, as counters only grow."""
        if self.last_values is not None:
            return self.last_values[name]
        column = self.columns[name]
        return [column[end - 1] for _, end in self.spans()]

    def first_ns(self) -> Sequence[int]:
        """When the first reading of each meter was."""
        if self.last_values is not None:
            return self.last_values["first_at_ns"]
        at_ns = self.columns["at_ns"]
        return [at_ns[start] for start, _ in self.spans()]

    def __len__(self) -> int:
        return sum(self.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Readings) and list(self.rows()) == list(other.rows())

    def __hash__(self) -> int:
        return hash(tuple(self.rows()))

    def __repr__(self) -> str:
        return f"Readings({list(self.rows())!r})"


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """One line of a node's inventory, sent when it changed.

    `flop_per_s_max` is the highest rate the silicon could reach in any format (FLOP per second): with time it is the
    upper bound of whatever was not measured. None where the device is unknown.
    """

    id: str
    kind: str
    name: str
    accelerator: str | None
    units: int | None
    clock_max_mhz: int | None
    parent: str | None
    driver: str | None
    method: str
    flop_per_s_max: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened on the node and that the numbers alone do not show: a start, a gap, a reset."""

    kind: str
    at_ns: int
    device: str | None = None
    run: str | None = None
    detail: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings of one agent, in order, with their place in the agent's chain.

    `prev` is the hex SHA-256 of the batch before, None for the first. `rates` is the version of the FLOP table that
    turned cycles into FLOP.
    """

    cluster: str
    node: str
    agent: str
    chain: UUID
    incarnation: UUID
    seq: int
    prev: str | None
    sealed_at_ns: int
    rates: str
    readings: Readings
    devices: tuple[DeviceRecord, ...] = ()
    events: tuple[Event, ...] = ()
