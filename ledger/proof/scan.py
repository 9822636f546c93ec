"""One page of evidence, looked at from all sides that need no other page: this runs on every core."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

import orjson

from ledger.proof.chain import Gap, Link, Walk
from ledger.proof.checkpoint import Head
from ledger.proof.findings import Finding, Kind
from ledger.proof.fold import Fold
from wire.errors import Unauthentic, WireError
from wire.opening import authenticate, decode_batches, open_batches
from wire.plausible import Before, implausible, plainly_possible
from wire.rfc3339 import format_ns
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from wire.batch import Batch

REVOKED = "revoked"
"""How the reason of a batch begins that a rebuild has taken out because its key was revoked."""
NEVER = 1 << 63


@dataclass(frozen=True, slots=True)
class Trust:
    """What the journal says of agents' keys: who is enrolled, and from when on (Unix ns) a key is revoked."""

    enrolled: frozenset[str]
    revoked_from_ns: Mapping[str, int]
    rates: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By agent and device: the most that the inventory says it can do, FLOP per second."""
    heads: frozenset[Head] = frozenset()
    """Ends of chains that checkpoints name: they have to be there."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A batch whose exclusion, or whose counting, this page alone does not explain."""

    agent: str
    chain: str
    seq: int
    sha256: bytes
    stored: str
    judged: str


@dataclass(slots=True)
class Scanned:
    """What one page showed."""

    batches: int = 0
    readings: int = 0
    findings: list[Finding] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    walk: Walk = field(default_factory=Walk)
    folds: dict[str, Fold] = field(default_factory=dict)
    """What each agent's counted batches amount to, in the agents' order."""
    heads: set[Head] = field(default_factory=set)
    """Those of the wanted ends of chains that were there."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Batches that count towards nothing, by reason."""


def scan(page: pa.Table, trust: Trust) -> Scanned:
    """Hashes, signatures, columns, chains, judgement, and what the counted batches amount to."""
    found = Scanned()
    groups = list(_stored(page))
    rows = [row for group in groups for row in group]
    opened = dict(zip(map(id, rows), open_batches([_sealed(row) for row in rows]), strict=True))
    slowest = {agent: min(rates.values()) for agent, rates in trust.rates.items() if rates}
    for row, *copies in groups:
        for copy in copies:
            _placed(found, copy, opened[id(copy)])
        batch = _placed(found, row, opened[id(row)])
        if batch is None:
            found.walk.explained.append(Gap((text(row["agent"]), text(row["chain_text"])), row["seq"], row["seq"]))
            continue
        found.batches += 1
        found.readings += len(batch.readings)
        stored = text(row["excluded_reason"])
        found.walk.step(Link((batch.agent, str(batch.chain)), batch.seq, row["sha256"].hex(), batch.prev, stored))
        found.walk.explained += _thinned(batch)
        head = Head(batch.agent, str(batch.chain), batch.seq, row["sha256"].hex())
        if head in trust.heads:
            found.heads.add(head)
        found.findings += _untrusted(batch, stored, trust)
        if stored or not plainly_possible(batch, row["received_at_ns"], slowest.get(batch.agent, inf)):
            _judge(found, row, batch, stored, trust)
        if stored:
            kind = stored.partition(":")[0]
            found.excluded[kind] = found.excluded.get(kind, 0) + 1
        else:
            found.folds.setdefault(batch.agent, Fold()).add(batch)
    for fold in found.folds.values():
        fold.close()
    return found


@dataclass(slots=True)
class Derived:
    """What one page amounts to, for a rebuild; with the first batch that cannot be used, if there is one."""

    batches: int = 0
    readings: int = 0
    findings: list[Finding] = field(default_factory=list)
    fold: Fold = field(default_factory=Fold)


def derive(page: pa.Table, trust: Trust) -> Derived:
    """The counted batches of a page, whose hashes have to fit; signatures are for `scan`. What was sealed after its key
    was revoked does not count.
    """
    found = Derived()
    rows = [row for row, *_ in _stored(page) if not row["excluded_reason"]]
    for row, batch in zip(rows, decode_batches([_sealed(row) for row in rows]), strict=True):
        whole = hashlib.sha256(row["body"]).digest() == row["sha256"]
        if isinstance(batch, WireError) or not whole:
            error = batch if whole else "sha256: does not fit the bytes"
            found.findings.append(_finding("changed byte", row, f"batch {row['seq']} of {text(row['agent'])}: {error}"))
            break
        if batch.sealed_at_ns < trust.revoked_from_ns.get(batch.agent, NEVER):
            found.batches += 1
            found.readings += len(batch.readings)
            found.fold.add(batch)
    found.fold.close()
    return found


def text(stored: bytes) -> str:
    """A column of strings as it is printed, whatever somebody wrote into it."""
    return stored.decode(errors="backslashreplace")


def _stored(page: pa.Table) -> Iterator[list[dict[str, Any]]]:
    """The rows of each batch: the one that counts first, which is the last that was recorded, then its copies."""
    rows = page.to_pylist()
    for _, group in itertools.groupby(
        rows, key=lambda row: (row["agent"], row["chain_text"], row["seq"], row["sha256"])
    ):
        copies = list(group)
        if len(copies) > 1:
            copies.sort(key=lambda row: (row["received_at_ns"], row["excluded_reason"]), reverse=True)
        yield copies


def _sealed(row: dict[str, Any]) -> Sealed:
    return Sealed(row["body"], row["sha256"], text(row["agent"]), row["signature"], text(row["schema"]))


def _placed(found: Scanned, row: dict[str, Any], batch: Batch | WireError) -> Batch | None:
    """The batch, if it is authentic and stands where it says; else None, and what is wrong is among the findings."""
    if isinstance(batch, WireError):
        found.findings.append(_broken(found, row, _sealed(row), batch))
        return None
    columns = (
        ("chain", text(row["chain_text"]), str(batch.chain)),
        ("seq", row["seq"], batch.seq),
        ("cluster", text(row["cluster"]), batch.cluster),
        ("node", text(row["node"]), batch.node),
        ("incarnation", text(row["incarnation_text"]), str(batch.incarnation)),
        ("sealed_at", row["sealed_at_ns"], batch.sealed_at_ns),
    )
    for name, stored, signed in columns:
        if stored != signed:
            found.findings.append(_misplaced(row, name, stored, signed))
            found.walk.explained.append(Gap((batch.agent, str(batch.chain)), batch.seq, batch.seq))
            return None
    return batch


def _broken(found: Scanned, row: dict[str, Any], sealed: Sealed, error: WireError) -> Finding:
    """What exactly is wrong with a row that does not open, by what still fits together."""
    said = _said(sealed.body)
    if hashlib.sha256(sealed.body).digest() != sealed.sha256:
        if _signed(sealed.key_id, sealed):
            return _finding(
                "changed byte", row, f"sha256: the column says {sealed.sha256.hex()}, which the body has not"
            )
        return _finding("changed byte", row, f"body: its hash is not the one that stands beside it, {error}")
    if isinstance(error, Unauthentic):
        signer = said.get("agent")
        if isinstance(signer, str) and signer != sealed.key_id and _signed(signer, sealed):
            seq = said.get("seq")
            if isinstance(seq, int):
                found.walk.explained.append(Gap((signer, str(said.get("chain"))), seq, seq))
            return _misplaced(row, "agent", sealed.key_id, signer)
        return _finding("forged signature", row, str(error))
    if sealed.schema != said.get("schema"):
        return _misplaced(row, "schema", sealed.schema, said.get("schema"))
    return _finding("inserted batch", row, f"signed, but nothing that is recorded: {error}")


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _signed(name: str, sealed: Sealed) -> bool:
    try:
        authenticate(replace(sealed, key_id=name, sha256=hashlib.sha256(sealed.body).digest()))
    except Unauthentic:
        return False
    return True


def _misplaced(row: dict[str, Any], column: str, stored: object, signed: object) -> Finding:
    """A batch under another agent or chain is a replay, under another number it is out of order."""
    kinds: dict[str, Kind] = {"agent": "replay", "chain": "replay", "seq": "reordered chain"}
    detail = f"{column}: the column says {stored!r}, the signed bytes say {signed!r}"
    return _finding(kinds.get(column, "changed byte"), row, detail)


def _thinned(batch: Batch) -> Iterator[Gap]:
    for event in batch.events:
        first, last = event.detail.get("first_seq"), event.detail.get("last_seq")
        if event.kind == "thinned" and isinstance(first, int) and isinstance(last, int):
            yield Gap((batch.agent, str(batch.chain)), first, last)


def _untrusted(batch: Batch, stored: str, trust: Trust) -> Iterator[Finding]:
    place = (batch.agent, str(batch.chain), batch.seq)
    if batch.agent not in trust.enrolled:
        yield Finding("inserted batch", "batches", "its key was never enrolled", *place)
    from_ns = trust.revoked_from_ns.get(batch.agent)
    if from_ns is not None and not stored and batch.sealed_at_ns >= from_ns:
        detail = f"it counts, but was sealed at {format_ns(batch.sealed_at_ns)}; revoked from {format_ns(from_ns)} on"
        yield Finding("revoked key", "batches", detail, *place)


def _judge(found: Scanned, row: dict[str, Any], batch: Batch, stored: str, trust: Trust) -> None:
    # What came before in the chain is for the walk: where links fit, none of them speaks against another.
    judged = implausible(batch, row["received_at_ns"], Before(flop_per_s_max=trust.rates.get(batch.agent, {}))) or ""
    if stored.startswith(REVOKED) and batch.sealed_at_ns >= trust.revoked_from_ns.get(batch.agent, NEVER):
        return
    if stored != judged:
        found.doubts.append(Doubt(batch.agent, str(batch.chain), batch.seq, row["sha256"], stored, judged))


def _finding(kind: Kind, row: dict[str, Any], detail: str) -> Finding:
    return Finding(kind, "batches", detail, text(row["agent"]), text(row["chain_text"]), row["seq"])
