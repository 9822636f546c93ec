"""Batches to test with: one by hand, any by Hypothesis, and spoilt ones that are signed all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from wire.batch import (
    BIG_COLUMNS,
    COUNTER_COLUMNS,
    KEY_COLUMNS,
    MAX_COUNTER,
    MAX_FLOP,
    SMALL_COLUMNS,
    Batch,
    DeviceRecord,
    Event,
    Reading,
    Readings,
)
from wire.opening import MAX_SIZE
from wire.seal import Sealed, encode, key_id, sign

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
AGENT = key_id(KEY.public_key())
SEALED_AT_NS = 1_795_444_000_123_456_789

Body = dict[str, Any]


def reading(at_ns: int = SEALED_AT_NS, **changes: Any) -> Reading:
    """One reading of a run on a GPU, unless changed."""
    names = {"run": "r", "purpose": "pre-training", "device": "GPU-1", "basis": "hardware", "method": "gpm-cycles"}
    values: dict[str, Any] = {"flop": 10**25 + 1, "flop_low": 10**24, "flop_high": 10**26, "busy_ns": 7}
    return Reading(**{"at_ns": at_ns, **names, "dtype": "bf16", "attribution": "exact", **values, **changes})


def batch(*readings: Reading, **changes: Any) -> Batch:
    """A batch with two readings, a device and an event, unless changed."""
    rows = readings or (reading(), reading(run="s", flop=None))
    values: dict[str, Any] = {
        "cluster": "c",
        "node": "n",
        "agent": AGENT,
        "chain": UUID("0199e2f0-0000-7000-8000-000000000001"),
        "incarnation": UUID("0199e2f0-0000-7000-8000-000000000002"),
        "seq": 3,
        "prev": "ab" * 32,
        "sealed_at_ns": SEALED_AT_NS,
        "rates": "2026-11-23",
        "readings": Readings.from_rows(rows),
        "devices": (DeviceRecord("GPU-1", "gpu", "H100", None, 132, 1_980, None, "1", "gpm-cycles", 2 * 10**15),),
        "events": (Event("start", SEALED_AT_NS, detail={"resumed": 0}),),
    }
    return Batch(**{**values, **changes})


def spoilt(change: Callable[[Body], object]) -> Sealed:
    """A batch whose body was changed before it was signed."""
    body: Body = orjson.loads(encode(batch()))
    change(body)
    return signed(orjson.dumps(body))


def signed(body: bytes) -> Sealed:
    """Any bytes, signed by the agent that they should be of."""
    return sign(body, KEY, AGENT)


KEYS = st.binary(min_size=32, max_size=32).map(Ed25519PrivateKey.from_private_bytes)
NAMES = st.text(min_size=1, max_size=20)
SHORT_NAMES = st.text(min_size=1, max_size=8)
COUNTERS = st.integers(0, MAX_COUNTER)
FLOP = st.integers(0, 10**30) | st.integers(2**64, MAX_FLOP)
SIZES = st.integers(0, MAX_SIZE)
DETAILS = st.dictionaries(SHORT_NAMES, st.none() | st.text() | st.integers(-(2**63), 2**64 - 1), max_size=3)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
OPTIONAL_COLUMNS = ("int_op", *SMALL_COLUMNS)


@st.composite
def meters(draw: st.DrawFn, measured: frozenset[str], rows: st.SearchStrategy[int]) -> list[Reading]:
    """Any readings of one meter, in order of time, with no more than these optional columns."""
    key: dict[str, Any] = {name: draw(NAMES if name in {"run", "device"} else SHORT_NAMES) for name in KEY_COLUMNS}
    key["basis"] = draw(st.sampled_from(["hardware", "architecture"]))
    key["attribution"] = draw(st.sampled_from(["exact", "split", "low"]))
    count = draw(rows)
    columns: dict[str, list[Any]] = {"at_ns": sorted(draw(_many(COUNTERS, count)))}
    # Sorted three by three, bounds hold and nothing goes back.
    bounds = sorted(draw(_many(FLOP, 3 * count)))
    columns["flop_low"], columns["flop_high"] = bounds[::3], bounds[2::3]
    columns["flop"] = draw(_late(bounds[1::3]))
    for name in OPTIONAL_COLUMNS:
        values = sorted(draw(_many(FLOP if name in BIG_COLUMNS else COUNTERS, count))) if name in measured else []
        columns[name] = draw(_late(values)) if values else [None] * count
    return [
        Reading(at_ns=columns["at_ns"][n], **key, **{name: columns[name][n] for name in COUNTER_COLUMNS})
        for n in range(count)
    ]


def _many(numbers: st.SearchStrategy[int], count: int) -> st.SearchStrategy[list[int]]:
    return st.lists(numbers, min_size=count, max_size=count)


def _late(values: list[int]) -> st.SearchStrategy[list[int | None]]:
    """Measured from some reading on, or never."""
    return st.integers(0, len(values)).map(lambda unknown: [None] * unknown + values[unknown:])


DEVICES = st.builds(
    DeviceRecord,
    id=NAMES,
    kind=st.sampled_from(["gpu", "mig", "cpu", "reporter"]),
    name=NAMES,
    accelerator=st.none() | NAMES,
    units=st.none() | SIZES,
    clock_max_mhz=st.none() | SIZES,
    parent=st.none() | NAMES,
    driver=st.none() | NAMES,
    method=SHORT_NAMES,
    flop_per_s_max=st.none() | FLOP,
)
EVENTS = st.builds(
    Event, kind=SHORT_NAMES, at_ns=COUNTERS, device=st.none() | NAMES, run=st.none() | NAMES, detail=DETAILS
)


@st.composite
def batches(draw: st.DrawFn, key: Ed25519PrivateKey = KEY) -> Batch:
    """Any batch that an agent with `key` could seal, nothing in it at all included."""
    per_meter = st.just(draw(st.integers(1, 3))) | st.integers(1, 3)
    measured = draw(st.frozensets(st.sampled_from(OPTIONAL_COLUMNS), max_size=4))
    if draw(st.booleans()):
        measured |= frozenset(OPTIONAL_COLUMNS) - draw(st.frozensets(st.sampled_from(OPTIONAL_COLUMNS), max_size=4))
    seq = draw(st.just(0) | COUNTERS)
    return Batch(
        cluster=draw(NAMES),
        node=draw(NAMES),
        agent=key_id(key.public_key()),
        chain=draw(st.uuids()),
        incarnation=draw(st.uuids()),
        seq=seq,
        prev=draw(HASHES) if seq else None,
        sealed_at_ns=draw(COUNTERS),
        rates=draw(SHORT_NAMES),
        readings=Readings.from_rows(
            row
            for meter in draw(st.lists(meters(measured, per_meter), max_size=3, unique_by=lambda rows: rows[0][1:8]))
            for row in meter
        ),
        devices=tuple(draw(st.lists(DEVICES, max_size=2))),
        events=tuple(draw(st.lists(EVENTS, max_size=2))),
    )
