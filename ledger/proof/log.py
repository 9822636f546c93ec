"""The log: every batch and every journal entry gets a number, after the fact, from the one writer of the journal.

What stands unlogged is numbered in the order in which it was recorded, batches before journal entries. A crash between
two inserts leaves a shorter log, and the next extension goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pyarrow as pa

from ledger.errors import Damaged
from ledger.proof.tree import Frontier, leaf_hash
from ledger.rows import required

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.access import Access
    from ledger.store import Store

PAGE_ROWS = 200_000
NO_CHAIN = str(UUID(int=0))

ROWS = pa.schema(
    [
        required("log_index", pa.uint64()),
        required("kind", pa.string()),
        required("agent", pa.string()),
        required("chain", pa.string()),
        required("seq", pa.uint64()),
        required("sha256", pa.binary(32)),
    ]
)
_BATCHES = (
    "SELECT 'batch' AS kind, agent, toString(chain) AS chain_text, seq, sha256 FROM batches "
    "WHERE sha256 NOT IN (SELECT sha256 FROM evidence_log WHERE kind = 'batch') "
    "ORDER BY received_at, source_topic, source_partition, source_offset, agent, chain, seq, sha256 "
    "LIMIT 1 BY agent, chain, seq, sha256 LIMIT {rows:UInt64}"
)
_JOURNAL = (
    f"SELECT 'journal' AS kind, '' AS agent, '{NO_CHAIN}' AS chain_text, entry_index AS seq, sha256 FROM journal "
    "WHERE entry_index >= (SELECT count() FROM evidence_log WHERE kind = 'journal') ORDER BY entry_index "
    "LIMIT {rows:UInt64}"
)


class Log:
    """Numbers what has come, and keeps the tree over it. Used by the one writer of the journal, from one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tree = Frontier()

    def extend(self) -> Frontier:
        """Number all evidence that has no number yet, and return the tree over everything; on return it is on disk."""
        self._catch_up()
        for sql in (_BATCHES, _JOURNAL):
            while (page := self._store.query_arrow(sql, {"rows": PAGE_ROWS})).num_rows:
                self._append(page)
        return self._tree

    def _append(self, page: pa.Table) -> None:
        indices = pa.array(range(self._tree.size, self._tree.size + page.num_rows), pa.uint64())
        names = page.column_names
        texts = [page.column(name).cast(pa.string()) for name in names[:3]]
        # Should somebody else number at the same time, the first who does counts, and both go on from there.
        once = f"{self._tree.size} after {self._tree.root().hex()}"
        self._store.insert("evidence_log", pa.table([indices, *texts, *page.columns[3:]], schema=ROWS), once)
        self._catch_up()

    def _catch_up(self) -> None:
        """Read what was numbered since the last time, or before this process began."""
        for index, sha256 in logged(self._store, self._tree.size):
            if index != self._tree.size:
                raise Damaged(
                    f"evidence_log holds number {index} where {self._tree.size} should stand: run `flopledger ledger "
                    "verify`, and restore the ledger from a copy"
                )
            self._tree.append(leaf_hash(sha256))


def logged(reader: Access | Store, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Number and hash of every piece of evidence in the log from `start` on, in order."""
    cursor = start
    while True:
        page = reader.query_arrow(
            "SELECT log_index, sha256 FROM evidence_log WHERE log_index >= {start:UInt64} "
            "ORDER BY log_index LIMIT {rows:UInt64}",
            {"start": cursor, "rows": PAGE_ROWS},
        )
        yield from zip(page.column("log_index").to_pylist(), page.column("sha256").to_pylist(), strict=True)
        if page.num_rows < PAGE_ROWS:
            return
        cursor = page.column("log_index")[-1].as_py() + 1
