"""Evidence in, derived rows beside it: the three inserts of the collector, and a fourth when an inventory changed.

Each insert is whole and on disk when it returns. A crash between two of them is healed by the replay that follows,
because the offsets are committed last and every table takes the same rows twice without harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.derive import derived
from ledger.rows import BATCHES, DEVICES, to_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.evidence import Evidence
    from ledger.meter_ids import MeterIds
    from ledger.store import Store


def record(store: Store, ids: MeterIds, evidence: Sequence[Evidence]) -> None:
    """Store the evidence and what is derived from the part of it that counts; `ids` has seen all of it."""
    store.insert("batches", to_table(BATCHES, _batch_columns(evidence)))
    counted = [item for item in evidence if item.excluded_reason is None]
    meters, curve = derived(ids, [item.batch for item in counted if item.batch.readings.meters])
    if meters.num_rows:
        store.insert("meters", meters)
        store.insert("curve", curve)
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
