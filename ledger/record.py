"""Evidence in, derived rows beside it: the three inserts of the collector, and a fourth when an inventory changed.

Each insert is whole and on disk when it returns. A crash between two of them is healed by the replay that follows,
because the offsets are committed last and every table takes the same rows twice without harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.rows import BATCHES, CURVE, DEVICES, METERS, to_table
from wire.batch import BIG_COLUMNS, COUNTER_COLUMNS, KEY_COLUMNS, SMALL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.evidence import Evidence
    from ledger.meter_ids import MeterIds
    from ledger.store import Store

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
    meters: dict[str, list[Any]] = {name: [] for name in METERS.names}
    curve: dict[str, list[Any]] = {name: [] for name in CURVE.names}
    for item in evidence:
        columns = item.batch.readings.columns
        first_row: dict[tuple[str, ...], int] = {}
        last_row: dict[tuple[str, ...], int] = {}
        last_of_hour: dict[tuple[tuple[str, ...], int], int] = {}
        at_ns = columns["at_ns"]
        for row, key in enumerate(zip(*(columns[name] for name in KEY_COLUMNS), strict=True)):
            first_row.setdefault(key, row)
            last_row[key] = row
            last_of_hour[key, at_ns[row] // HOUR_NS] = row
        id_of = dict(zip(last_row, ids.of(item.batch.incarnation, last_row), strict=True))
        rows = list(last_row.values())
        count = len(rows)
        meters["meter_id"].extend(id_of.values())
        meters["agent"].extend([item.batch.agent] * count)
        meters["cluster"].extend([item.batch.cluster] * count)
        meters["node"].extend([item.batch.node] * count)
        meters["incarnation"].extend([str(item.batch.incarnation)] * count)
        meters["first_at_ns"].extend(at_ns[row] for row in first_row.values())
        meters["last_at_ns"].extend(at_ns[row] for row in rows)
        _take(meters, columns, (*KEY_COLUMNS, *COUNTER_COLUMNS), rows)
        curve["meter_id"].extend(id_of[key] for key, _ in last_of_hour)
        curve["hour"].extend(hour * 3_600 for _, hour in last_of_hour)
        _take(curve, columns, ("run", "basis", *_CURVE_COUNTERS), list(last_of_hour.values()))
    return meters, curve


def _take(into: dict[str, list[Any]], columns: Any, names: Iterable[str], rows: Sequence[int]) -> None:
    for name in names:
        values = columns[name]
        into[name].extend([values[row] for row in rows])


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
