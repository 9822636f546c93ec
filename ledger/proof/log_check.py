"""The log against the checkpoints that were signed over it, and against the evidence that it numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.proof.findings import Finding, Findings
from ledger.proof.log import NO_CHAIN, logged
from ledger.proof.tree import Frontier, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledger.access import Access
    from ledger.proof.findings import Kind

MAX_NAMED = 200

_UNMATCHED_BATCHES = """
SELECT log_index, agent, toString(chain), seq, hex(sha256) FROM evidence_log
WHERE kind = 'batch' AND (agent, chain, seq, sha256) NOT IN (SELECT agent, chain, seq, sha256 FROM batches)
ORDER BY agent, chain, seq, log_index LIMIT {limit:UInt64}
"""
_UNMATCHED_ENTRIES = """
SELECT log_index, agent, toString(chain), seq, hex(sha256) FROM evidence_log
WHERE kind != 'batch' AND (kind, agent, toString(chain), seq, sha256) NOT IN (
    SELECT 'journal', '', {no_chain:String}, entry_index, sha256 FROM journal
)
ORDER BY seq, log_index LIMIT {limit:UInt64}
"""
_TWICE = """
SELECT kind, hex(sha256), max(log_index) AS again, min(log_index) FROM evidence_log
GROUP BY kind, sha256 HAVING count() > 1 ORDER BY again LIMIT {limit:UInt64}
"""


def check_roots(ledger: Access, roots: Sequence[tuple[int, str, str]]) -> Iterator[Finding]:
    """Each root, given as size, hex and whose it is, is that of the log's first `size` leaves."""
    waiting = sorted(roots)
    tree = Frontier()

    def settle() -> Iterator[Finding]:
        while waiting and waiting[0][0] == tree.size:
            size, root, whose = waiting.pop(0)
            if tree.root().hex() != root:
                yield _in_log("checkpoint disagrees", size, f"{whose}: the first {size} leaves have another root")

    yield from settle()
    for index, sha256 in logged(ledger):
        if index < tree.size:
            yield _in_log("checkpoint disagrees", index, f"number {index} stands in the log twice")
            continue
        if index > tree.size:
            yield _in_log("deleted row", tree.size, f"number {tree.size} is missing in the log")
            return
        tree.append(leaf_hash(sha256))
        yield from settle()
    for size, _, whose in waiting:
        yield _in_log("checkpoint disagrees", tree.size, f"{whose}: {size} leaves, but the log ends at {tree.size}")


def check_numbering(ledger: Access, so_far: Findings) -> Iterator[Finding]:
    """Every number stands for one piece of evidence that is there; what the log has and nobody else is missing."""
    limit = {"limit": MAX_NAMED}
    for kind, _, again, first in ledger.query(_TWICE, limit).rows:
        yield _in_log("replay", again, f"the {kind} of number {first} has number {again} too")
    for row in ledger.query(_UNMATCHED_BATCHES, limit).rows:
        yield from _unmatched(ledger, "batches", row, so_far)
    for row in ledger.query(_UNMATCHED_ENTRIES, {**limit, "no_chain": NO_CHAIN}).rows:
        yield from _unmatched(ledger, "journal", row, so_far)


def _unmatched(ledger: Access, table: str, row: Sequence[Any], so_far: Findings) -> Iterator[Finding]:
    index, agent, chain, seq, sha256 = row
    if _somewhere(ledger, sha256):
        yield _in_log("changed byte", index, f"number {index}: the evidence with this hash stands in another place")
    elif table == "batches":
        if so_far.about("batches", agent, chain, seq):
            return
        parameters = {"agent": agent, "chain": chain, "seq": seq}
        here, last = _one(ledger, _BATCH_HERE, parameters)
        if here:
            yield _in_log("changed byte", index, f"number {index}: the batch in this place has another hash")
        else:
            yield Finding(_deleted(last, seq), "batches", f"number {index} of the log is not there", agent, chain, seq)
    elif not so_far.about("journal", None, None, seq):
        here, last = _one(ledger, _ENTRY_HERE, {"seq": seq})
        if here:
            yield _in_log("changed byte", index, f"number {index}: the journal entry in this place has another hash")
        else:
            yield Finding(_deleted(last, seq), "journal", f"number {index} of the log is not there", seq=seq)


_BATCH_HERE = """
SELECT countIf(seq = {seq:UInt64}), maxOrNull(seq) FROM batches WHERE agent = {agent:String} AND chain = {chain:UUID}
"""
_ENTRY_HERE = "SELECT countIf(entry_index = {seq:UInt64}), maxOrNull(entry_index) FROM journal"
_SOMEWHERE = """
SELECT (SELECT count() FROM batches WHERE sha256 = unhex({sha256:String}))
    + (SELECT count() FROM journal WHERE sha256 = unhex({sha256:String})), 0
"""


def _deleted(last: int | None, seq: int) -> Kind:
    return "deleted tail" if last is None or last < seq else "deleted row"


def _somewhere(ledger: Access, sha256: str) -> bool:
    return bool(_one(ledger, _SOMEWHERE, {"sha256": sha256})[0])


def _one(ledger: Access, sql: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
    (row,) = ledger.query(sql, parameters).rows
    found: Sequence[Any] = row
    return found


def _in_log(kind: Kind, index: int, detail: str) -> Finding:
    return Finding(kind, "evidence_log", detail, seq=index)
