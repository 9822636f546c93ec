"""Evidence in, derived rows beside it: the three inserts of the collector, and a fourth when an inventory changed.

Each insert is whole and on disk when it returns. A crash between two of them is healed by the replay that follows,
because the offsets are committed last and every table takes the same rows twice without harm.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from ledger.rows import BATCHES, CURVE, DEVICES, METERS, to_table
from wire.batch import BIG_COLUMNS, COUNTER_COLUMNS, KEY_COLUMNS, SMALL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.evidence import Evidence
    from ledger.meter_ids import MeterIds
    from ledger.store import Store
    from wire.batch import Readings

HOUR_NS = 3_600_000_000_000
_CURVE_COUNTERS = ("flop", "flop_low", "flop_high", "tokens")


def record(store: Store, ids: MeterIds, evidence: Sequence[Evidence]) -> None:
    """Store the evidence and what is derived from the part of it that counts; `ids` has seen all of it."""
    store.insert("batches", to_table(BATCHES, _batch_columns(evidence)))
    counted = [item for item in evidence if item.excluded_reason is None]
    meters, curve = _derived(ids, counted)
    if meters["run"]:
        store.insert("meters", to_table(METERS, meters))
        store.insert("curve", to_table(CURVE, curve))
    devices = _device_columns(counted)
    if devices["device"]:
        store.insert("devices", to_table(DEVICES, devices))


def _batch_columns(evidence: Sequence[Evidence]) -> dict[str, list[Any]]:
    return {
        "agent": [item.batch.agent for item in evidence],
        "chain": [str(item.batch.chain) for item in evidence],
        "seq": [item.batch.seq for item in evidence],
        "sha256": [item.sealed.sha256 for item in evidence],
        "schema": [item.sealed.schema for item in evidence],
        "body": [item.sealed.body for item in evidence],
        "signature": [item.sealed.signature for item in evidence],
        "cluster": [item.batch.cluster for item in evidence],
        "node": [item.batch.node for item in evidence],
        "incarnation": [str(item.batch.incarnation) for item in evidence],
        "sealed_at": [item.batch.sealed_at_ns for item in evidence],
        "received_at": [item.received_at_ns // 1_000 for item in evidence],
        "source_topic": [item.topic for item in evidence],
        "source_partition": [item.partition for item in evidence],
        "source_offset": [item.offset for item in evidence],
        "excluded_reason": [item.excluded_reason or "" for item in evidence],
    }


def _derived(ids: MeterIds, evidence: Sequence[Evidence]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Rows for `meters` and `curve`. Within a batch counters never go back, so the last row of a meter is its maximum;
    across batches the engine takes the maximum.
    """
    batches = [item.batch for item in evidence if item.batch.readings.meters]
    readings = [batch.readings for batch in batches]
    meter_ids = [ids.of(batch.incarnation, batch.readings.meters) for batch in batches]
    curve: dict[str, list[Any]] = {name: [] for name in CURVE.names}
    for held, its_ids in zip(readings, meter_ids, strict=True):
        _add_hours(curve, held, its_ids)

    def each_meter(values: Iterable[str]) -> list[str]:
        repeated = zip(values, readings, strict=True)
        return _joined([value] * len(held.meters) for value, held in repeated)

    keys = _joined(held.meters for held in readings)
    meters = {
        "meter_id": _joined(meter_ids),
        "agent": each_meter(batch.agent for batch in batches),
        "cluster": each_meter(batch.cluster for batch in batches),
        "node": each_meter(batch.node for batch in batches),
        "incarnation": each_meter(str(batch.incarnation) for batch in batches),
        "first_at_ns": _joined(held.first_ns() for held in readings),
        "last_at_ns": _joined(held.last("at_ns") for held in readings),
        **{name: [key[n] for key in keys] for n, name in enumerate(KEY_COLUMNS)},
        **{name: _joined([held.last(name) for held in readings]) for name in COUNTER_COLUMNS},
    }
    return meters, curve


def _joined(parts: Iterable[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _add_hours(curve: dict[str, list[Any]], readings: Readings, meter_ids: Sequence[int]) -> None:
    hour = min(readings.first_ns()) // HOUR_NS
    if max(readings.last("at_ns")) // HOUR_NS == hour:
        curve["meter_id"] += meter_ids
        curve["hour"] += [hour * 3_600] * len(meter_ids)
        curve["run"] += [key[0] for key in readings.meters]
        curve["basis"] += [key[3] for key in readings.meters]
        for name in _CURVE_COUNTERS:
            curve[name] += readings.last(name)
        return
    columns = readings.columns
    at_ns = columns["at_ns"]
    for key, meter_id, (start, end) in zip(readings.meters, meter_ids, readings.spans(), strict=True):
        last_of_hour = {at_ns[row] // HOUR_NS: row for row in range(start, end)}
        for hour, row in last_of_hour.items():
            curve["meter_id"].append(meter_id)
            curve["hour"].append(hour * 3_600)
            curve["run"].append(key[0])
            curve["basis"].append(key[3])
            for name in _CURVE_COUNTERS:
                curve[name].append(columns[name][row])


def _device_columns(evidence: Sequence[Evidence]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in DEVICES.names}
    for item in evidence:
        for device in item.batch.devices:
            columns["device"].append(device.id)
            for name in ("kind", "name", "accelerator", "units", "clock_max_mhz", "parent", "driver", "method"):
                columns[name].append(getattr(device, name))
            columns["flop_per_s_max"].append(device.flop_per_s_max)
            columns["agent"].append(item.batch.agent)
            columns["cluster"].append(item.batch.cluster)
            columns["node"].append(item.batch.node)
            columns["sealed_at_ns"].append(item.batch.sealed_at_ns)
    return columns


assert set(METERS.names) >= {*KEY_COLUMNS, *BIG_COLUMNS, *SMALL_COLUMNS}, "a column of the wire has no place in meters"
