"""What the counted batches amount to: the maximum per meter, and per meter and hour, and the last inventory.

The same rows that recording derives batch by batch, folded together; agents' meters are their own, so a fold holds
one agent at a time, or a few, and never the whole ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import ge, itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.derive import HOUR_NS
from ledger.meter_ids import fingerprint
from ledger.rows import CURVE, DEVICES, METERS
from wire.batch import COUNTER_COLUMNS, KEY_COLUMNS
from wire.ends import LastValues

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wire.batch import Batch, Readings

MeterKey = tuple[str, ...]
"""Incarnation, agent, cluster, node, and the key columns of a reading."""
Values = tuple[Any, ...]

NOT_MEASURED = -1
CURVE_COUNTERS = ("flop", "flop_low", "flop_high", "tokens")
_IN_CURVE = itemgetter(*(COUNTER_COLUMNS.index(name) for name in CURVE_COUNTERS))

_DEVICE, _BASIS = KEY_COLUMNS.index("device"), KEY_COLUMNS.index("basis")
_OBSERVED, _GAP = COUNTER_COLUMNS.index("observed_ns"), COUNTER_COLUMNS.index("gap_ns")
_PLACE_PARTS = 4


@dataclass(slots=True)
class _Stretch:
    """Batches of one incarnation that follow one another, with the same meters, within an hour: only the last matters.

    That is how almost all batches come, and a column is compared faster than a meter.
    """

    place: tuple[str, ...]
    hour: int
    first: Readings
    latest: Readings

    def goes_on(self, later: _Stretch) -> bool:
        """What comes later takes nothing back."""
        if (self.hour, self.latest.meters, self.place) != (later.hour, later.latest.meters, later.place):
            return False
        before, after = self.latest.last_values, later.latest.last_values
        if (
            isinstance(before, LastValues)
            and isinstance(after, LastValues)
            and (after.ends, after.batch) == (before.ends, before.batch + 1)
        ):
            return after.ends.goes_on(after.batch)
        return (
            all(map(ge, later.latest.last("at_ns"), self.latest.last("at_ns")))
            and all(map(ge, later.first.first_ns(), self.first.first_ns()))
            and all(all(map(ge, new, old)) for new, old in zip(later.counters(), self.counters(), strict=True))
        )

    def counters(self) -> Iterator[Sequence[int]]:
        """Where its meters stand in the end, column by column."""
        return (_numbers(self.latest.last(name)) for name in COUNTER_COLUMNS)


def _stretch(batch: Batch) -> _Stretch | None:
    """A batch by itself; None for one that reaches over the end of an hour."""
    readings = batch.readings
    last = readings.last_values
    if isinstance(last, LastValues):
        hour, begun = last.ends.latest_ns[last.batch] // HOUR_NS, last.ends.earliest_ns[last.batch] // HOUR_NS
    else:
        hour, begun = max(readings.last("at_ns")) // HOUR_NS, min(readings.first_ns()) // HOUR_NS
    return _Stretch(_place(batch), hour, readings, readings) if hour == begun else None


def _place(batch: Batch) -> tuple[str, ...]:
    return str(batch.incarnation), batch.agent, batch.cluster, batch.node


@dataclass(slots=True)
class Fold:
    """Derived rows of some batches. Taking a batch twice, or in another order, changes nothing."""

    meters: dict[MeterKey, tuple[int, int, Values]] = field(default_factory=dict)
    """First and last reading (Unix ns), and the counters in order of `COUNTER_COLUMNS`."""
    curve: dict[tuple[MeterKey, int], Values] = field(default_factory=dict)
    """By meter and hour since 1970."""
    devices: dict[str, dict[Values, None]] = field(default_factory=dict)
    """What was last said of each device: more than one row only where two were sealed at the same nanosecond."""
    begun: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """By incarnation and device: the first instant (Unix ns) with hardware readings, and the time covered up to it."""
    clock_back: dict[str, dict[tuple[int, int], None]] = field(default_factory=dict)
    """By incarnation: when, and by how many ns, the node's clock was set back."""
    _open: _Stretch | None = None

    @property
    def rows(self) -> int:
        """How much it holds."""
        return len(self.meters) + len(self.curve)

    def add(self, batch: Batch) -> None:
        """Take one batch that counts."""
        readings = batch.readings
        if readings.meters:
            stretch = _stretch(batch)
            if self._open is not None and stretch is not None and self._open.goes_on(stretch):
                self._open.latest = stretch.latest
            else:
                self.close()
                self._begin(batch)
                self._open = stretch
                if stretch is None:
                    self._add(batch)
        for device in batch.devices:
            said = (getattr(device, name) for name in _DEVICE_FIELDS)
            self._device(device.id, (batch.sealed_at_ns, *said, batch.agent, batch.cluster, batch.node))
        for event in batch.events:
            by_ns = event.detail.get("by_ns")
            if event.kind == "clock-back" and isinstance(by_ns, int):
                self.clock_back.setdefault(str(batch.incarnation), {})[event.at_ns, by_ns] = None

    def merge(self, other: Fold) -> None:
        """Take all that another fold holds."""
        for meter, (first, last, counters) in other.meters.items():
            self._meter(meter, first, last, counters)
        for (meter, hour), counters in other.curve.items():
            self._hour(meter, hour, counters)
        for device, said in other.devices.items():
            for values in said:
                self._device(device, values)

        for place, begun in other.begun.items():
            self.begun[place] = min(begun, self.begun.get(place, begun))
        for incarnation, steps in other.clock_back.items():
            self.clock_back.setdefault(incarnation, {}).update(steps)

    def close(self) -> None:
        """Put in what is still open: before anything is read of the fold, or merged."""
        stretch, self._open = self._open, None
        if stretch is not None:
            latest = stretch.latest
            counters = zip(*stretch.counters(), strict=True)
            rows = zip(latest.meters, stretch.first.first_ns(), latest.last("at_ns"), counters, strict=True)
            for key, first_ns, last_ns, values in rows:
                meter = (*stretch.place, *key)
                self._meter(meter, first_ns, last_ns, values)
                self._hour(meter, stretch.hour, _IN_CURVE(values))

    def _add(self, batch: Batch) -> None:
        """A batch that reaches over the end of an hour, reading by reading."""
        readings, place = batch.readings, _place(batch)
        at_ns = readings.columns["at_ns"]
        counters = list(zip(*(_numbers(readings.columns[name]) for name in COUNTER_COLUMNS), strict=True))
        for key, (start, end) in zip(readings.meters, readings.spans(), strict=True):
            meter = (*place, *key)
            self._meter(meter, at_ns[start], at_ns[end - 1], counters[end - 1])
            for row in range(start, end):
                hour = at_ns[row] // HOUR_NS
                if row == end - 1 or at_ns[row + 1] // HOUR_NS != hour:
                    self._hour(meter, hour, _IN_CURVE(counters[row]))

    def _begin(self, batch: Batch) -> None:
        readings = batch.readings
        covered: dict[str, tuple[int, int]] = {}
        lasts = zip(*(readings.last(name) for name in ("at_ns", "observed_ns", "gap_ns")), strict=True)
        for key, (at_ns, observed_ns, gap_ns) in zip(readings.meters, lasts, strict=True):
            if key[_BASIS] == "hardware":
                last_ns, sum_ns = covered.get(key[_DEVICE], (0, 0))
                covered[key[_DEVICE]] = (max(last_ns, at_ns), sum_ns + (observed_ns or 0) + (gap_ns or 0))
        for device, found in covered.items():
            place = (str(batch.incarnation), device)
            self.begun[place] = min(found, self.begun.get(place, found))

    def _meter(self, key: MeterKey, first: int, last: int, counters: Values) -> None:
        before = self.meters.get(key)
        if before is not None:
            first, last = min(first, before[0]), max(last, before[1])
            counters = larger(before[2], counters)
        self.meters[key] = (first, last, counters)

    def _hour(self, key: MeterKey, hour: int, counters: Values) -> None:
        before = self.curve.get((key, hour))
        self.curve[key, hour] = counters if before is None else larger(before, counters)

    def _device(self, device: str, values: Values) -> None:
        said = self.devices.get(device)
        if said is None or next(iter(said))[0] < values[0]:
            self.devices[device] = {values: None}
        elif next(iter(said))[0] == values[0]:
            said[values] = None


_DEVICE_FIELDS = (
    *("kind", "name", "accelerator", "units", "clock_max_mhz", "parent", "driver", "method", "flop_per_s_max"),
)


def covered_ns(fold: Fold) -> dict[tuple[str, str], tuple[int, int]]:
    """By incarnation and device: the last hardware reading (Unix ns), and the device time that all its meters cover."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for key, (_, last, counters) in fold.meters.items():
        if key[_PLACE_PARTS + _BASIS] == "hardware":
            place = (key[0], key[_PLACE_PARTS + _DEVICE])
            last_ns, sum_ns = found.get(place, (0, 0))
            found[place] = (max(last_ns, last), sum_ns + max(counters[_OBSERVED], 0) + max(counters[_GAP], 0))
    return found


def larger(one: Values, other: Values) -> Values:
    """The maximum place by place."""
    if all(map(ge, other, one)):
        return other
    return tuple(map(max, one, other))


def _numbers(values: Sequence[int | None]) -> Sequence[int]:
    """What was not measured is less than whatever was: it would cost too much to ask at every comparison."""
    if None in values:
        return [NOT_MEASURED if value is None else value for value in values]
    return values  # type: ignore[return-value]


def meter_columns(meters: Mapping[MeterKey, tuple[int, int, Values]]) -> dict[str, list[Any]]:
    """Rows for the table `meters`."""
    columns: dict[str, list[Any]] = {name: [] for name in METERS.names}
    for (incarnation, agent, cluster, node, *key), (first, last, counters) in meters.items():
        columns["incarnation"].append(incarnation)
        columns["agent"].append(agent)
        columns["cluster"].append(cluster)
        columns["node"].append(node)
        columns["meter_id"].append(meter_id(incarnation, tuple(key)))
        columns["first_at_ns"].append(first)
        columns["last_at_ns"].append(last)
        _put(columns, KEY_COLUMNS, key)
        _put(columns, COUNTER_COLUMNS, map(_measured, counters))
    return columns


def curve_columns(curve: Mapping[tuple[MeterKey, int], Values]) -> dict[str, list[Any]]:
    """Rows for the table `curve`."""
    columns: dict[str, list[Any]] = {name: [] for name in CURVE.names}
    ids: dict[MeterKey, int] = {}
    for (meter, hour), counters in curve.items():
        incarnation, _, _, _, *key = meter
        if meter not in ids:
            ids[meter] = meter_id(incarnation, tuple(key))
        columns["run"].append(key[0])
        columns["basis"].append(key[_BASIS])
        columns["meter_id"].append(ids[meter])
        columns["hour"].append(hour * 3_600)
        _put(columns, CURVE_COUNTERS, map(_measured, counters))
    return columns


def device_columns(devices: Mapping[str, Iterable[Values]]) -> dict[str, list[Any]]:
    """Rows for the table `devices`."""
    columns: dict[str, list[Any]] = {name: [] for name in DEVICES.names}
    for device, said in devices.items():
        sealed_at_ns, *values = next(iter(said))
        columns["device"].append(device)
        columns["sealed_at_ns"].append(sealed_at_ns)
        _put(columns, (*_DEVICE_FIELDS, "agent", "cluster", "node"), values)
    return columns


def meter_id(incarnation: str, key: Sequence[str]) -> int:
    """The id that recording gives this meter."""
    return fingerprint(UUID(incarnation), tuple(key))[0]


def _measured(number: int) -> int | None:
    return None if number == NOT_MEASURED else number


def _put(columns: dict[str, list[Any]], names: Iterable[str], values: Iterable[Any]) -> None:
    for name, value in zip(names, values, strict=True):
        columns[name].append(value)
