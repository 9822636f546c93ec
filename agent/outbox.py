"""The outbox: a batch is stored before it is shipped, and forgotten after the broker acknowledged it.

SQLite with a write-ahead log and full synchronisation. What the next delta starts from is written in the same
transaction as the batch, so a crash neither loses nor repeats work. The chain of batches is born with the file.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import uuid_utils.compat

from agent.errors import Fatal, OutboxDamaged, OutboxFull, Retry
from agent.thinning import Thinned, superseded
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DEFAULT_MAX_BYTES = 1 << 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    seq INTEGER PRIMARY KEY, incarnation TEXT NOT NULL, meters BLOB NOT NULL, keep INTEGER NOT NULL,
    schema TEXT NOT NULL, key_id TEXT NOT NULL, sha256 BLOB NOT NULL, signature BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


class Outbox:
    """One agent's stored batches and the head of its chain. Thread-safe: the agent stores, a shipper forgets."""

    def __init__(self, path: Path | str, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Open or make the file; `":memory:"` for an agent whose node is itself simulated. Raises `OutboxDamaged`."""
        self.path = path
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        _refuse_emptied(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        except sqlite3.DatabaseError as error:
            raise _damaged_or_retry(error, path) from error
        try:
            with self._using():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        if self._db.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check failed")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        with self._transaction():
            if self._get("chain") is None:
                self._put("chain", str(uuid_utils.compat.uuid7()))
                self._put("head", {"next_seq": 0, "sha256": None})
        self.chain = UUID(self._get("chain"))
        head = self._get("head")
        self.next_seq: int = head["next_seq"]
        self.head: str | None = head["sha256"]
        self._stored_bytes = self.stored_bytes()

    def baseline(self) -> dict[str, Any] | None:
        """What the last stored batch left for the next delta to start from; None before the first."""
        with self._using():
            stored: dict[str, Any] | None = self._get("baseline")
            return stored

    def plan_thinning(self, incoming_bytes: int) -> list[Thinned]:
        """Which stored batches a batch of this size must push out to fit.

        Raises `OutboxFull` when it cannot fit: then counting goes on and sealing waits.
        """
        with self._using():
            # Counted here, so that not every batch has to add up the file; somebody else may have emptied it since.
            if self._stored_bytes + incoming_bytes <= self._max_bytes:
                return []
            self._stored_bytes = self.stored_bytes()
            excess = self._stored_bytes + incoming_bytes - self._max_bytes
            if excess <= 0:
                return []
            rows = self._db.execute(
                "SELECT seq, incarnation, meters, keep, sha256, length(body) FROM batches ORDER BY seq"
            ).fetchall()
            # A tenth more than needed goes at once, so that not every batch has to push another one out.
            ranges, freed = superseded(rows, excess + self._max_bytes // 10)
            if freed < excess:
                raise OutboxFull(
                    f"the outbox {self.path} holds {self.stored_bytes()} bytes and nothing in it may go: "
                    "sealing waits until the broker is back, counting goes on; raise FLOPLEDGER_OUTBOX_MAX_BYTES"
                )
            return ranges

    def store(
        self,
        seq: int,
        sealed: Sealed,
        meters: Sequence[Sequence[str]],
        incarnation: str,
        baseline: Mapping[str, Any],
        thinned: Sequence[Thinned] = (),
        keep: bool = False,
    ) -> None:
        """Store a batch, what the next delta starts from, and what the batch pushed out, all or nothing.

        `keep` protects a batch that says more than its counters. Raises `OutboxFull` when the disk is full, `Fatal`
        when somebody else went on with the chain.
        """
        with self._using():
            try:
                with self._transaction():
                    if self._get("head")["next_seq"] != seq:
                        raise Fatal(f"another agent writes to the outbox {self.path}: stop one of them")
                    for gone in thinned:
                        self._db.execute(
                            "DELETE FROM batches WHERE seq BETWEEN ? AND ?", (gone.first_seq, gone.last_seq)
                        )
                    self._db.execute(
                        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            seq,
                            incarnation,
                            orjson.dumps(meters),
                            keep,
                            sealed.schema,
                            sealed.key_id,
                            sealed.sha256,
                            sealed.signature,
                            sealed.body,
                        ),
                    )
                    self._put("baseline", baseline)
                    self._put("head", {"next_seq": seq + 1, "sha256": sealed.sha256.hex()})
            except sqlite3.OperationalError as error:
                raise OutboxFull(
                    f"the outbox {self.path} cannot be written ({error}): sealing waits, counting goes on"
                ) from error
            self.next_seq, self.head = seq + 1, sealed.sha256.hex()
            self._stored_bytes += len(sealed.body)

    def pending(self, after_seq: int, limit: int) -> list[tuple[int, Sealed]]:
        """Stored batches past `after_seq` (-1: all), oldest first."""
        with self._using():
            rows = self._db.execute(
                "SELECT seq, body, sha256, key_id, signature, schema FROM batches WHERE seq > ? ORDER BY seq LIMIT ?",
                (after_seq, limit),
            ).fetchall()
        return [(row[0], Sealed(*row[1:])) for row in rows]

    def forget(self, through_seq: int) -> None:
        """These are recorded elsewhere: delete all up to and including `through_seq`."""
        with self._using():
            self._db.execute("DELETE FROM batches WHERE seq <= ?", (through_seq,))

    def stored_bytes(self) -> int:
        """Bytes of all stored batches."""
        with self._using():
            total: int = self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM batches").fetchone()[0]
            return total

    def stored_batches(self) -> int:
        """How many batches wait."""
        with self._using():
            count: int = self._db.execute("SELECT count(*) FROM batches").fetchone()[0]
            return count

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Hold the lock, and say what to do about what SQLite says."""
        with self._lock:
            try:
                yield
            except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
                raise  # our own mistake, not the file's
            except sqlite3.DatabaseError as error:
                raise _damaged_or_retry(error, self.path) from error

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def _get(self, name: str) -> Any:
        row = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def _put(self, name: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, orjson.dumps(value)))


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK when the body or the commit fails."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            try:
                self._db.execute("COMMIT")
            except sqlite3.OperationalError:
                self._rollback()
                raise
        else:
            self._rollback()

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _damaged_or_retry(error: sqlite3.DatabaseError, path: Path | str) -> OutboxDamaged | Retry:
    if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
        return Retry(f"the outbox {path} cannot be used now: {error}")
    return _damaged(path, str(error))


def _refuse_emptied(path: Path | str) -> None:
    """SQLite would take an empty file for a new one, and delete the log beside it with all the batches in there."""
    file, log = Path(path), Path(f"{path}-wal")
    if file.exists() and file.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise _damaged(path, "it is empty, its log is not")


def _damaged(path: Path | str, why: str) -> OutboxDamaged:
    return OutboxDamaged(
        f"the outbox {path} is damaged ({why}); nothing was changed. Move it and its -wal file away to begin a new "
        "chain, and keep them: `sqlite3 FILE .recover` brings back what was not shipped yet"
    )
