"""Rows as Arrow tables, with types and nulls checked before the engine sees them: it would take a null for a zero and
a negative number for a huge one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wire.batch import BIG_COLUMNS, SMALL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UINT128 = pa.binary(16)
"""How the engine takes a UInt128: sixteen bytes, little-endian."""


def required(name: str, kind: pa.DataType) -> pa.Field[Any]:
    """A column without nulls."""
    return pa.field(name, kind, nullable=False)


BATCHES = pa.schema(
    [
        required("agent", pa.string()),
        required("chain", pa.string()),
        required("seq", pa.uint64()),
        required("sha256", pa.binary(32)),
        required("schema", pa.string()),
        required("body", pa.binary()),
        required("signature", pa.binary(64)),
        required("cluster", pa.string()),
        required("node", pa.string()),
        required("incarnation", pa.string()),
        required("sealed_at", pa.timestamp("ns", "UTC")),
        required("received_at", pa.timestamp("us", "UTC")),
        required("source_topic", pa.string()),
        required("source_partition", pa.uint32()),
        required("source_offset", pa.int64()),
        required("excluded_reason", pa.string()),
    ]
)

METERS = pa.schema(
    [
        required("run", pa.string()),
        required("meter_id", pa.uint64()),
        required("agent", pa.string()),
        required("cluster", pa.string()),
        required("node", pa.string()),
        required("incarnation", pa.string()),
        *(required(name, pa.string()) for name in ("device", "purpose", "basis", "method", "dtype", "attribution")),
        required("first_at_ns", pa.uint64()),
        required("last_at_ns", pa.uint64()),
        *(pa.field(name, UINT128, nullable=name in {"flop", "int_op"}) for name in BIG_COLUMNS),
        *(pa.field(name, pa.uint64()) for name in SMALL_COLUMNS),
    ]
)

CURVE = pa.schema(
    [
        required("run", pa.string()),
        required("basis", pa.string()),
        required("meter_id", pa.uint64()),
        required("hour", pa.uint32()),
        pa.field("flop", UINT128),
        required("flop_low", UINT128),
        required("flop_high", UINT128),
        pa.field("tokens", pa.uint64()),
    ]
)

DEVICES = pa.schema(
    [
        required("device", pa.string()),
        required("kind", pa.string()),
        required("name", pa.string()),
        pa.field("accelerator", pa.string()),
        pa.field("units", pa.uint32()),
        pa.field("clock_max_mhz", pa.uint32()),
        pa.field("parent", pa.string()),
        pa.field("driver", pa.string()),
        required("method", pa.string()),
        pa.field("flop_per_s_max", UINT128),
        required("agent", pa.string()),
        required("cluster", pa.string()),
        required("node", pa.string()),
        required("sealed_at_ns", pa.uint64()),
    ]
)


def to_table(schema: pa.Schema, columns: Mapping[str, Sequence[Any] | pa.Array[Any]]) -> pa.Table:
    """`columns` as a table of this schema; raises ArrowInvalid or OverflowError for a value that does not fit."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        if isinstance(values, pa.Array):
            array = values
        else:
            if field.type == UINT128:
                values = [None if value is None else value.to_bytes(16, "little") for value in values]
            array = pa.array(values, field.type)
        if array.null_count and not field.nullable:
            raise pa.ArrowInvalid(f"{field.name} holds a null")
        arrays.append(array)
    return pa.table(arrays, schema=schema)
