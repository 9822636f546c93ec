"""The evidence behind a point of a curve: sealed batches, each checked again in the very request that shows it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ledger.errors import Refused
from wire.errors import Malformed, Unauthentic
from wire.opening import authenticate, decode
from wire.seal import Sealed

if TYPE_CHECKING:
    from ledger.access import Access
    from wire.batch import Batch, Reading

HOUR_NS = 3_600 * 10**9
LOOKED_AT = 200
"""So many batches of an hour are looked into."""
SHOWN_READINGS = 200

_BATCH = """
SELECT
    agent, toString(chain) AS chain_text, seq, sha256, schema, body, signature, cluster, node,
    toString(incarnation) AS incarnation_text, toUnixTimestamp64Nano(sealed_at) AS sealed_at_ns,
    toUnixTimestamp64Micro(received_at) * 1000 AS received_at_ns, source_topic, source_partition, source_offset,
    excluded_reason
FROM batches
WHERE agent = {agent:String} AND chain = {chain:UUID} AND seq = {seq:UInt64}
ORDER BY sha256, received_at LIMIT 1 BY sha256 LIMIT 8
"""
_BEFORE = """
SELECT DISTINCT lower(hex(sha256)) FROM batches
WHERE agent = {agent:String} AND chain = {chain:UUID} AND seq = {seq:UInt64}
"""
_LOGGED = """
SELECT
    (SELECT min(log_index) FROM evidence_log WHERE kind = 'batch' AND sha256 = unhex({sha256:String})) AS log_index,
    (SELECT count() FROM evidence_log WHERE kind = 'batch' AND sha256 = unhex({sha256:String})) AS times
"""
_CHECKPOINTS = """
SELECT entry_index, JSONExtractUInt(body, 'data', 'size') AS size FROM journal
WHERE kind = 'checkpoint' AND JSONExtractUInt(body, 'data', 'size') > {log_index:UInt64} ORDER BY entry_index LIMIT 1
"""
_AGENT = "SELECT enrolment, node, revoked, revoked_from, revoked_reason FROM agents WHERE agent = {agent:String}"
# Whose meters moved in that hour; of those agents, what they sealed in it, and the first batch of each chain after it.
_BEHIND = """
WITH movers AS (
    SELECT DISTINCT agent, incarnation FROM meters WHERE run = {run:String} AND basis = {basis:String} AND meter_id IN (
        SELECT meter_id FROM curve
        WHERE run = {run:String} AND basis = {basis:String} AND hour = fromUnixTimestamp({hour:UInt32})))
SELECT agent, toString(chain) AS chain_text, seq, sha256, schema, body, signature, excluded_reason FROM batches
WHERE (agent, incarnation) IN movers AND sealed_at >= fromUnixTimestamp({hour:UInt32}) AND (
    sealed_at < fromUnixTimestamp({hour:UInt32} + 3600)
    OR (agent, chain, seq) IN (
        SELECT agent, chain, min(seq) FROM batches
        WHERE (agent, incarnation) IN movers AND sealed_at >= fromUnixTimestamp({hour:UInt32} + 3600)
        GROUP BY agent, chain))
    AND position(body, {name:String}) > 0
ORDER BY sealed_at, agent, seq LIMIT 1 BY agent, chain, seq, sha256 LIMIT {limit:UInt32}
"""


_MOVED = """
SELECT toUnixTimestamp(max(hour)) FROM run_curve
WHERE run = {run:String} AND (adds_with = 0) = ({basis:String} = 'hardware')
    AND hour <= fromUnixTimestamp({hour:UInt32})
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, and whether it holds; None where there is nothing to check it against."""

    what: str
    holds: bool | None
    says: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A batch with its checks. `batch` is None where its bytes cannot be read."""

    row: dict[str, Any]
    sealed: Sealed
    batch: Batch | None
    checks: list[Check]
    readings: list[Reading]
    more: int
    """So many readings further are in it."""

    @property
    def holds(self) -> bool:
        """Nothing that was checked speaks against it."""
        return all(check.holds is not False for check in self.checks)


@dataclass(frozen=True, slots=True)
class Behind:
    """One batch that says something of a run in an hour: where its meters stood then, FLOP."""

    agent: str
    chain: str
    seq: int
    node: str
    sealed_at_ns: int
    excluded_reason: str
    signed: bool
    readings: int
    flop: int | None
    flop_low: int
    flop_high: int


def pieces(reader: Access, agent: str, chain: str, seq: int) -> list[Piece]:
    """What is on record in this place: one batch, or several where a chain was forked. Raises `Refused` for none."""
    asked = {"agent": agent, "chain": chain, "seq": seq}
    found = [_text(row) for row in reader.query_arrow(_BATCH, asked).to_pylist()]
    if not found:
        raise Refused(f"no batch {seq} of chain {chain} is on record: see `SELECT agent, chain, seq FROM batches`")
    return [_checked(reader, row, len(found)) for row in found]


def moved_before(reader: Access, run: str, basis: str, hour_s: int) -> int | None:
    """The last hour until this one in which the run moved, as far as its curve is computed; None if it never did."""
    found = reader.query(_MOVED, {"run": run, "basis": basis, "hour": hour_s}).rows
    return int(found[0][0]) or None


def behind(reader: Access, run: str, basis: str, hour_s: int) -> tuple[list[Behind], bool]:
    """The batches in which this run's meters of that hour stand, and whether there are more than were looked into."""
    # As JSON writes it, so that a name with a quote in it is found.
    name = orjson.dumps(run).decode()
    asked = {"run": run, "basis": basis, "hour": hour_s, "name": name, "limit": LOOKED_AT + 1}
    rows = [_text(row) for row in reader.query_arrow(_BEHIND, asked).to_pylist()]
    seen = [_behind(row, run, basis, hour_s * 10**9) for row in rows[:LOOKED_AT]]
    return [found for found in seen if found is not None], len(rows) > LOOKED_AT


def _behind(row: dict[str, Any], run: str, basis: str, hour_ns: int) -> Behind | None:
    sealed = _sealed(row)
    try:
        authenticate(sealed)
        signed = True
    except Unauthentic:
        signed = False
    try:
        batch = decode(sealed)
    except Malformed:
        return None
    last: dict[tuple[str, ...], Reading] = {}
    readings = 0
    for reading in batch.readings.rows():
        if (reading.run, reading.basis) == (run, basis) and hour_ns <= reading.at_ns < hour_ns + HOUR_NS:
            readings += 1
            last[reading[1:8]] = reading
    if not readings:
        return None
    points = [reading.flop for reading in last.values()]
    return Behind(
        batch.agent,
        str(batch.chain),
        batch.seq,
        batch.node,
        batch.sealed_at_ns,
        row["excluded_reason"],
        signed,
        readings,
        sum(point or 0 for point in points) if any(point is not None for point in points) else None,
        sum(reading.flop_low for reading in last.values()),
        sum(reading.flop_high for reading in last.values()),
    )


def _checked(reader: Access, row: dict[str, Any], twins: int) -> Piece:
    sealed = _sealed(row)
    checks, batch = _opened(sealed)
    if batch is not None:
        checks.append(_columns(row, batch))
        checks.append(_link(reader, batch))
    checks.append(_trusted(reader, row["agent"], row["sealed_at_ns"]))
    checks.append(_logged(reader, row["sha256"].hex()))
    if twins > 1:
        checks.append(Check("one batch in this place", False, f"{twins} different ones are on record: the chain forks"))
    readings = [] if batch is None else list(batch.readings.rows())
    return Piece(row, sealed, batch, checks, readings[:SHOWN_READINGS], max(0, len(readings) - SHOWN_READINGS))


def _opened(sealed: Sealed) -> tuple[list[Check], Batch | None]:
    digest = hashlib.sha256(sealed.body).hexdigest()
    checks = [Check("SHA-256 of the bytes", digest == sealed.sha256.hex(), digest)]
    try:
        authenticate(sealed)
        checks.append(Check("Ed25519 signature by the agent's key", True, sealed.key_id))
    except Unauthentic as error:
        checks.append(Check("Ed25519 signature by the agent's key", False, str(error)))
    try:
        batch = decode(sealed)
    except Malformed as error:
        checks.append(Check("the bytes are a batch", False, str(error)))
        return checks, None
    checks.append(Check("the bytes are a batch", True, f"{sealed.schema}, {len(sealed.body):,} bytes"))
    return checks, batch


def _columns(row: dict[str, Any], batch: Batch) -> Check:
    signed = (batch.agent, str(batch.chain), batch.seq, batch.cluster, batch.node, str(batch.incarnation))
    stored = (row["agent"], row["chain_text"], row["seq"], row["cluster"], row["node"], row["incarnation_text"])
    same = signed == stored and batch.sealed_at_ns == row["sealed_at_ns"]
    return Check("the columns beside it say what was signed", same, "place, cluster, node, incarnation and time")


def _link(reader: Access, batch: Batch) -> Check:
    what = "it follows the batch before it"
    if batch.prev is None:
        return Check(what, True, "the first of its chain")
    before = reader.query(_BEFORE, {"agent": batch.agent, "chain": str(batch.chain), "seq": batch.seq - 1}).rows
    hashes = [str(found[0]) for found in before]
    if not hashes:
        return Check(what, False, f"batch {batch.seq - 1} is not on record; it names {batch.prev}")
    return Check(what, batch.prev in hashes, batch.prev)


def _trusted(reader: Access, agent: str, sealed_at_ns: int) -> Check:
    what = "its key is enrolled"
    found = reader.query(_AGENT, {"agent": agent}).dicts()
    if not found or not found[0]["enrolment"]:
        return Check(what, False, "the journal does not know this key")
    row = found[0]
    since = row["revoked_from"]
    if row["revoked"] and since is not None and sealed_at_ns >= int(since.timestamp() * 10**9):
        return Check(what, False, f"revoked: {row['revoked_reason']}")
    return Check(what, True, f"{row['enrolment']}, node {row['node']}")


def _logged(reader: Access, sha256: str) -> Check:
    what = "it is in the log of all evidence"
    found = reader.query(_LOGGED, {"sha256": sha256}).dicts()[0]
    if not found["times"]:
        return Check(what, None, "not numbered yet: the next checkpoint does that")
    covering = reader.query(_CHECKPOINTS, {"log_index": found["log_index"]}).rows
    by = f", under the checkpoint in journal entry {covering[0][0]}" if covering else ""
    return Check(what, True, f"leaf {found['log_index']}{by}")


def _sealed(row: dict[str, Any]) -> Sealed:
    return Sealed(row["body"], row["sha256"], row["agent"], row["signature"], row["schema"])


_TEXTS = ("agent", "chain_text", "schema", "cluster", "node", "incarnation_text", "source_topic", "excluded_reason")


def _text(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: row[name].decode("utf-8", "replace") for name in _TEXTS if name in row}
