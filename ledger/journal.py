"""The ledger's own chain: every decision that is not a measurement, signed with the ledger's key and never edited.

An entry names the hash of the one before, so nothing can be taken out or slipped in. One process writes it: the one
that holds the data directory, or on a server the collector that owns partition 0 of the topic. Should two believe that
they are it, for a moment after a hand-over, the table takes what the first of them puts behind an entry, and nothing
else: the other one notices, and starts again from the head that is there now.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from ledger.errors import Damaged, Refused, Retry
from ledger.rows import required, to_table
from wire.errors import Unauthentic
from wire.opening import authenticate
from wire.rfc3339 import format_ns
from wire.seal import Sealed, key_id, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ledger.store import Store

SCHEMA = "flopledger.journal/1"

ROWS = pa.schema(
    [
        required("entry_index", pa.uint64()),
        required("at", pa.timestamp("ns", "UTC")),
        required("kind", pa.string()),
        required("body", pa.binary()),
        required("sha256", pa.binary(32)),
        required("signature", pa.binary(64)),
        required("key_id", pa.string()),
        required("request", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody wants written down: `kind` is agent, run or alert, `data` its content."""

    kind: str
    author: str
    data: Mapping[str, Any]
    request: str = ""
    """What has the same one is written once; empty for what may be said again."""
    user: str = ""
    """Who asked for it, as the server knows them."""


class Journal:
    """Appends signed entries. Thread-safe within the process that holds the ledger."""

    def __init__(self, store: Store, key: Ed25519PrivateKey, now_ns: Callable[[], int]) -> None:
        self._store = store
        self._key = key
        self._name = key_id(key.public_key())
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._next, self._head = self._last()

    def append(self, statements: Sequence[Statement]) -> list[int]:
        """Write these in order, all or none, and return their indices; on return they are on disk."""
        if not statements:
            return []
        with self._lock:
            if self._store.shared:
                self._next, self._head = self._last()
                statements = self._not_written(statements)
                if not statements:
                    return []
            at_ns = self._now_ns()
            entries: list[Sealed] = []
            head = self._head
            for index, statement in enumerate(statements, self._next):
                entry = sign(self._encode(index, head, at_ns, statement), self._key, self._name, SCHEMA)
                head = entry.sha256
                entries.append(entry)
            indices = list(range(self._next, self._next + len(entries)))
            self._store.insert(
                "journal",
                to_table(
                    ROWS,
                    {
                        "entry_index": indices,
                        "at": [at_ns] * len(entries),
                        "kind": [statement.kind for statement in statements],
                        "body": [entry.body for entry in entries],
                        "sha256": [entry.sha256 for entry in entries],
                        "signature": [entry.signature for entry in entries],
                        "key_id": [entry.key_id for entry in entries],
                        "request": [statement.request for statement in statements],
                    },
                ),
                once=f"{self._next} after {self._head.hex() if self._head else 'nothing'}",
            )
            if self._store.shared:
                self._confirm(indices, [entry.sha256 for entry in entries])
            self._next, self._head = indices[-1] + 1, head
            return indices

    def _encode(self, index: int, head: bytes | None, at_ns: int, statement: Statement) -> bytes:
        entry = {
            "schema": SCHEMA,
            "index": index,
            "prev": None if head is None else head.hex(),
            "at": format_ns(at_ns),
            "kind": statement.kind,
            "author": statement.author,
            "data": dict(statement.data),
        }
        entry |= {name: value for name in ("request", "user") if (value := getattr(statement, name))}
        try:
            return orjson.dumps(entry)
        except orjson.JSONEncodeError as error:
            raise Refused(f"the journal cannot hold this {statement.kind}: {error}") from error

    def _not_written(self, statements: Sequence[Statement]) -> list[Statement]:
        """Those whose request the journal does not hold yet, each once."""
        asked = {statement.request: statement for statement in reversed(statements) if statement.request}
        if not asked:
            return list(statements)
        rows = self._store.query(
            "SELECT request FROM journal WHERE request IN {asked:Array(String)}", {"asked": list(asked)}, fresh=True
        ).rows
        written = {row[0] for row in rows}
        return [s for s in statements if not s.request or (s.request not in written and asked[s.request] is s)]

    def _confirm(self, indices: Sequence[int], hashes: Sequence[bytes]) -> None:
        """That these entries, and nobody else's, stand in these places."""
        rows = self._store.query(
            "SELECT entry_index, sha256 FROM journal WHERE entry_index BETWEEN {first:UInt64} AND {last:UInt64} "
            "ORDER BY entry_index",
            {"first": indices[0], "last": indices[-1]},
            fresh=True,
        ).rows
        found = [(index, sha256) for index, sha256 in rows]
        ours = list(zip(indices, hashes, strict=True))
        if found == ours:
            return
        if set(ours).isdisjoint(found):
            raise Retry(
                f"somebody else wrote entry {indices[0]} of the journal at the same time, and ours is not in it"
            )
        raise Damaged(
            f"two have written the journal from entry {indices[0]} on: stop all collectors but one, and see "
            "docs/operations.md, section Two writers"
        )

    def _last(self) -> tuple[int, bytes | None]:
        rows = self._store.query(
            "SELECT entry_index, body, sha256, signature, key_id, "
            "(SELECT count() FROM journal), (SELECT uniqExact(entry_index) FROM journal) FROM journal "
            "ORDER BY entry_index DESC LIMIT 1",
            fresh=True,
        ).rows
        if not rows:
            return 0, None
        index, body, sha256, signature, name, count, distinct = rows[0]
        if not count == distinct == index + 1:
            raise Damaged(
                f"the journal holds {count} entries but ends with number {index}: some are missing or doubled"
            )
        if name != self._name:
            raise Damaged("the journal was signed with another key: put the ledger's own ledger.key back")
        try:
            authenticate(Sealed(body.encode() if isinstance(body, str) else body, sha256, name, signature, SCHEMA))
        except Unauthentic as error:
            raise Damaged(
                f"entry {index} of the journal was changed: {error}; restore the ledger from a copy"
            ) from error
        return index + 1, sha256
