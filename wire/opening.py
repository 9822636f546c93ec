"""Opening: bytes become a batch again, or an error that names the field.

Nothing is coerced: a number in a string, a fraction, a negative counter or a column of another length is refused.
Keys that this version does not know are ignored; they stay in the signed bytes.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from wire.batch import MAX_COUNTER, MAX_FLOP, SCHEMA, Batch, DeviceRecord, Event, Readings
from wire.decoding import LateColumns
from wire.decoding import decode as decode_readings
from wire.ends import ends
from wire.errors import Malformed, Unauthentic, WireError
from wire.identifiers import known_uuid
from wire.rfc3339 import parse_ns
from wire.seal import MAX_BODY_BYTES, Sealed
from wire.signature import verified
from wire.skim import available, skim

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wire.ends import LastValues
    from wire.skim import Form, Skimmed

MAX_SIZE = 2**32 - 1
FEW = 4
"""Fewer are opened one by one sooner than together."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
ShortName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Counter = Annotated[int, Field(ge=0, le=MAX_COUNTER)]
Size = Annotated[int, Field(ge=0, le=MAX_SIZE)]
Decimal = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,38})$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Device(_Body):
    id: Name
    kind: Literal["gpu", "mig", "cpu", "reporter"]
    name: Name
    accelerator: Name | None
    units: Size | None
    clock_max_mhz: Size | None
    parent: Name | None
    driver: Name | None
    method: ShortName
    flop_per_s_max: Decimal | None


class _Event(_Body):
    kind: ShortName
    at_ns: Counter
    device: Name | None = None
    run: Name | None = None
    detail: dict[ShortName, str | int | None] = Field(default_factory=dict)


class _Records(_Body):
    devices: list[_Device] = Field(default_factory=list)
    events: list[_Event] = Field(default_factory=list)


class _BatchBody(_Records):
    # `schema` shadows a method of BaseModel, hence the alias.
    version: Literal["flopledger.batch/1"] = Field(alias="schema")
    cluster: Name
    node: Name
    agent: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
    chain: Annotated[str, StringConstraints(min_length=36, max_length=36)]
    incarnation: Annotated[str, StringConstraints(min_length=36, max_length=36)]
    seq: Counter
    prev: Hash | None
    sealed_at: Annotated[str, StringConstraints(max_length=40)]
    rates: ShortName
    readings: Any


def from_headers(body: bytes, headers: Iterable[tuple[str, bytes]]) -> Sealed:
    """A message of a source as a sealed batch; raises `Unauthentic` when a header is missing."""
    held = dict(headers)
    try:
        return Sealed(body, held["sha256"], held["key_id"].decode(), held["signature"], held["schema"].decode())
    except KeyError as error:
        raise Unauthentic("header is missing", str(error.args[0])) from error
    except UnicodeDecodeError as error:
        raise Unauthentic("not UTF-8", "headers") from error


def open_batch(sealed: Sealed) -> Batch:
    """Check hash and signature, then the schema; raises `Unauthentic` or `Malformed`."""
    authenticate(sealed)
    return decode(sealed)


def authenticate(sealed: Sealed) -> None:
    """The bytes are those that were hashed and signed by `key_id`; raises `Unauthentic`."""
    if len(sealed.body) > MAX_BODY_BYTES:
        raise Unauthentic(f"{len(sealed.body)} bytes, more than {MAX_BODY_BYTES}", "body")
    if hashlib.sha256(sealed.body).digest() != sealed.sha256:
        raise Unauthentic("does not fit the bytes", "sha256")
    if not verified(sealed.key_id, sealed.signature, sealed.body):
        raise Unauthentic("does not fit the bytes", "signature")


def decode(sealed: Sealed) -> Batch:
    """The batch in bytes that are known to be authentic; raises `Malformed`."""
    if sealed.schema != SCHEMA:
        raise Malformed(f"{sealed.schema[:64]!r} is not {SCHEMA!r}", "schema")
    try:
        said = orjson.loads(sealed.body)
        _check_keys(sealed.body, said)
        body = _BatchBody.model_validate(said)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"no JSON: {error}", "body") from error
    except ValidationError as error:
        raise _malformed(error) from error
    if body.agent != sealed.key_id:
        raise Malformed("not the key that signed", "agent")
    if (body.seq == 0) != (body.prev is None):
        raise Malformed("missing, or present on the first of a chain", "prev")
    return Batch(
        cluster=body.cluster,
        node=body.node,
        agent=body.agent,
        chain=known_uuid(body.chain, "chain"),
        incarnation=known_uuid(body.incarnation, "incarnation"),
        seq=body.seq,
        prev=body.prev,
        sealed_at_ns=_instant(body.sealed_at),
        rates=body.rates,
        # Read again when somebody asks: what was read is too much to keep.
        readings=decode_readings(body.readings, lambda: orjson.loads(sealed.body)["readings"]),
        devices=_devices(body),
        events=_events(body),
    )


def open_batches(sealed: Sequence[Sealed]) -> list[Batch | WireError]:
    """The same as `open_batch` for each of them, at a fraction of the cost where they are alike."""
    found: list[Batch | WireError | None] = []
    for one in sealed:
        try:
            authenticate(one)
            found.append(None)
        except Unauthentic as error:
            found.append(error)
    authentic = [n for n, error in enumerate(found) if error is None]
    for n, opened in zip(authentic, decode_batches([sealed[n] for n in authentic]), strict=True):
        found[n] = opened
    return [one for one in found if one is not None]


def decode_batches(sealed: Sequence[Sealed]) -> list[Batch | WireError]:
    """The same as `decode` for each of them."""
    found: dict[int, Batch | WireError] = {}
    alike: dict[Form, list[tuple[int, Skimmed]]] = {}
    if available() and len(sealed) >= FEW:
        for n, one in enumerate(sealed):
            skimmed = skim(one.body, one.key_id) if one.schema == SCHEMA else None
            if skimmed is not None:
                alike.setdefault(skimmed.form, []).append((n, skimmed))
    for group in alike.values():
        if len(group) >= FEW:
            together = ends([skimmed for _, skimmed in group])
            for row, (n, skimmed) in enumerate(group):
                if together.plain[row]:
                    with suppress(ValidationError, Malformed):
                        found[n] = _batch(sealed[n], skimmed, together.of(row))
    for n, one in enumerate(sealed):
        if n not in found:
            try:
                found[n] = decode(one)
            except WireError as error:
                found[n] = error
    return [found[n] for n in range(len(sealed))]


def _batch(sealed: Sealed, skimmed: Skimmed, last: LastValues) -> Batch:
    meters, counts = skimmed.meters, skimmed.counts
    records = _Records.model_validate(skimmed.records) if skimmed.records else None
    return Batch(
        skimmed.cluster,
        skimmed.node,
        sealed.key_id,
        skimmed.chain,
        skimmed.incarnation,
        skimmed.seq,
        skimmed.prev,
        skimmed.sealed_at_ns,
        skimmed.rates,
        Readings(meters, counts, LateColumns(meters, counts, lambda: orjson.loads(sealed.body)["readings"]), last),
        () if records is None else _devices(records),
        () if records is None else _events(records),
    )


def _check_keys(body: bytes, said: object) -> None:
    """No object names a key twice: readers differ in which of the two they take."""
    with suppress(orjson.JSONEncodeError):
        # What is written from objects that hold each key once is the whole body. So with all that an agent seals.
        if orjson.dumps(said) == body:
            return
    try:
        json.loads(body, object_pairs_hook=_refuse_twins, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}", "body") from error


def _refuse_twins(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise Malformed("a key given twice", name[:64])
        names.add(name)


def _devices(body: _Records) -> tuple[DeviceRecord, ...]:
    return tuple(_device(device, f"devices.{n}") for n, device in enumerate(body.devices))


def _events(body: _Records) -> tuple[Event, ...]:
    return tuple(Event(e.kind, e.at_ns, e.device, e.run, e.detail) for e in body.events)


def _device(body: _Device, field: str) -> DeviceRecord:
    flop_per_s_max = None if body.flop_per_s_max is None else int(body.flop_per_s_max)
    if flop_per_s_max is not None and flop_per_s_max > MAX_FLOP:
        raise Malformed("past 2^128", f"{field}.flop_per_s_max")
    return DeviceRecord(**{**body.model_dump(), "flop_per_s_max": flop_per_s_max})


def _instant(text: str) -> int:
    try:
        at_ns = parse_ns(text)
    except ValueError as error:
        raise Malformed(str(error), "sealed_at") from error
    if at_ns > MAX_COUNTER:
        raise Malformed("past year 2262", "sealed_at")
    return at_ns


def _malformed(error: ValidationError) -> Malformed:
    first = error.errors(include_url=False, include_input=False)[0]
    return Malformed(first["msg"], ".".join(str(part) for part in first["loc"]) or "body")
