"""What batches that count add to `meters` and `curve`: the last value per meter, and per meter and hour.

Within a batch counters never go back, so the last row of a meter is its maximum; across batches the engine takes the
maximum. Batches that were opened together come as whole columns, and stay so.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ledger.rows import CURVE, METERS, UINT128, to_table
from wire.batch import BIG_COLUMNS, COUNTER_COLUMNS, KEY_COLUMNS, SMALL_COLUMNS
from wire.ends import LastValues
from wire.sheet import FIRST
from wire.wide import Wide

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ledger.meter_ids import MeterIds
    from wire.batch import Batch, Readings
    from wire.ends import Ends

HOUR_NS = 3_600_000_000_000
HOUR_S = 3_600
CURVE_COUNTERS = ("flop", "flop_low", "flop_high", "tokens")

Columns = dict[str, Any]


def derived(ids: MeterIds, batches: Sequence[Batch]) -> tuple[pa.Table, pa.Table]:
    """Rows for `meters` and `curve`."""
    alike: dict[Ends, list[tuple[Batch, int]]] = {}
    apart: list[Batch] = []
    for batch in batches:
        last = batch.readings.last_values
        if isinstance(last, LastValues):
            alike.setdefault(last.ends, []).append((batch, last.batch))
        else:
            apart.append(batch)
    meters, curve = [], []
    late = list(apart)
    for ends, held in alike.items():
        theirs = [batch for batch, _ in held]
        meters.append(to_table(METERS, _names(ids, theirs) | _counters(ends, [place for _, place in held], METERS)))
        hours = [ends.latest_ns[place] // HOUR_NS for _, place in held]
        within = [hour == ends.earliest_ns[place] // HOUR_NS for hour, (_, place) in zip(hours, held, strict=True)]
        late += [batch for batch, inside in zip(theirs, within, strict=True) if not inside]
        chosen = [n for n, inside in enumerate(within) if inside]
        if chosen:
            names = _curve_names(ids, [theirs[n] for n in chosen], [hours[n] for n in chosen])
            curve.append(to_table(CURVE, names | _counters(ends, [held[n][1] for n in chosen], CURVE)))
    if apart:
        meters.append(to_table(METERS, _names(ids, apart) | _listed(apart)))
    if late:
        hourly: Columns = {name: [] for name in CURVE.names}
        for batch in late:
            _add_hours(hourly, batch.readings, ids.of(batch.incarnation, batch.readings.meters))
        curve.append(to_table(CURVE, hourly))
    return _whole(METERS, meters), _whole(CURVE, curve)


def _whole(schema: pa.Schema, parts: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).combine_chunks() if parts else schema.empty_table()


def _names(ids: MeterIds, batches: Sequence[Batch]) -> Columns:
    """What names each meter, and whose it is."""
    tables = [ids.table(batch.incarnation, batch.readings.meters) for batch in batches]

    def each_meter(values: Iterable[str]) -> list[str]:
        return _joined([value] * len(table.ids) for value, table in zip(values, tables, strict=True))

    return {
        "meter_id": _joined(table.ids for table in tables),
        "agent": each_meter(batch.agent for batch in batches),
        "cluster": each_meter(batch.cluster for batch in batches),
        "node": each_meter(batch.node for batch in batches),
        "incarnation": each_meter(str(batch.incarnation) for batch in batches),
        **{name: _joined(table.columns[n] for table in tables) for n, name in enumerate(KEY_COLUMNS)},
    }


def _curve_names(ids: MeterIds, batches: Sequence[Batch], hours: Sequence[int]) -> Columns:
    tables = [ids.table(batch.incarnation, batch.readings.meters) for batch in batches]
    run, basis = KEY_COLUMNS.index("run"), KEY_COLUMNS.index("basis")
    return {
        "meter_id": _joined(table.ids for table in tables),
        "run": _joined(table.columns[run] for table in tables),
        "basis": _joined(table.columns[basis] for table in tables),
        "hour": _joined([hour * HOUR_S] * len(table.ids) for hour, table in zip(hours, tables, strict=True)),
    }


def _counters(ends: Ends, places: Sequence[int], schema: pa.Schema) -> Columns:
    """The counters of batches at these places, by the names of `schema`."""
    rows: NDArray[np.int64] | None = None
    if list(places) != list(range(len(ends.plain))):
        starts = ends.starts
        rows = np.concatenate([np.arange(starts[place], starts[place + 1]) for place in places])
    found: Columns = {}
    for name in _COUNTED_IN[schema.names == METERS.names]:
        values = {"first_at_ns": ends.first_ns, "last_at_ns": ends.columns["at_ns"]}.get(name, ends.columns.get(name))
        if values is None:
            found[name] = pa.nulls(ends.starts[-1] if rows is None else len(rows), schema.field(name).type)
        else:
            found[name] = _words(values if rows is None else _taken(values, rows), wide=name in BIG_COLUMNS)
    return found


_COUNTED_IN = {True: ("first_at_ns", "last_at_ns", *COUNTER_COLUMNS), False: CURVE_COUNTERS}


def _taken(values: NDArray[np.int64] | Wide, rows: NDArray[np.int64]) -> NDArray[np.int64] | Wide:
    return values.take(rows) if isinstance(values, Wide) else values[rows]


def _words(values: NDArray[np.int64] | Wide, *, wide: bool) -> pa.Array[Any]:
    if wide:
        column = values if isinstance(values, Wide) else Wide.of(values)
        buffer = pa.py_buffer(column.little_endian())
        return pa.FixedSizeBinaryArray.from_buffers(UINT128, len(column.low), [None, buffer])
    assert not isinstance(values, Wide)
    return pa.array(values.view(np.uint64))


def _listed(batches: Sequence[Batch]) -> Columns:
    """The same for batches that were opened one by one."""
    readings = [batch.readings for batch in batches]
    return {
        "first_at_ns": _joined(held.first_ns() for held in readings),
        "last_at_ns": _joined(held.last("at_ns") for held in readings),
        **{name: _joined(held.last(name) for held in readings) for name in COUNTER_COLUMNS},
    }


def _joined(parts: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _add_hours(curve: Columns, readings: Readings, meter_ids: Sequence[int]) -> None:
    hour = min(readings.first_ns()) // HOUR_NS
    if max(readings.last("at_ns")) // HOUR_NS == hour:
        curve["meter_id"] += meter_ids
        curve["hour"] += [hour * HOUR_S] * len(meter_ids)
        curve["run"] += [key[0] for key in readings.meters]
        curve["basis"] += [key[3] for key in readings.meters]
        for name in CURVE_COUNTERS:
            curve[name] += readings.last(name)
        return
    columns = readings.columns
    at_ns = columns["at_ns"]
    for key, meter_id, (start, end) in zip(readings.meters, meter_ids, readings.spans(), strict=True):
        last_of_hour = {at_ns[row] // HOUR_NS: row for row in range(start, end)}
        for hour, row in last_of_hour.items():
            curve["meter_id"].append(meter_id)
            curve["hour"].append(hour * HOUR_S)
            curve["run"].append(key[0])
            curve["basis"].append(key[3])
            for name in CURVE_COUNTERS:
                curve[name].append(columns[name][row])


assert set(METERS.names) >= {*KEY_COLUMNS, *BIG_COLUMNS, *SMALL_COLUMNS}, "a column of the wire has no place in meters"
assert FIRST == "first_at_ns"
