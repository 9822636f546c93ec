"""An outbox that another process on this machine fills: the same file, read from here.

The agent stores, this side reads and forgets; SQLite's write-ahead log lets both work at once. Only the columns named
here are relied on.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from collector.errors import Fatal, Retry
from wire.seal import Sealed

if TYPE_CHECKING:
    from pathlib import Path


class OutboxFile:
    """The reading end of an agent's outbox."""

    def __init__(self, path: Path) -> None:
        """Open it; raises `Fatal` when there is none, or when it is none."""
        if not path.exists():
            raise Fatal(f"{path} does not exist: start `flopledger agent run` with the same FLOPLEDGER_DATA_DIR first")
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error
        try:
            self._db.execute("PRAGMA synchronous = FULL")
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise self._translated(error) from error

    def pending(self, after_seq: int, limit: int) -> list[tuple[int, Sealed]]:
        """Stored batches past `after_seq`, oldest first."""
        try:
            rows = self._db.execute(
                "SELECT seq, body, sha256, key_id, signature, schema FROM batches WHERE seq > ? ORDER BY seq LIMIT ?",
                (after_seq, limit),
            ).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error
        return [(row[0], Sealed(*row[1:])) for row in rows]

    def forget(self, through_seq: int) -> None:
        """All up to and including `through_seq` are recorded."""
        try:
            self._db.execute("DELETE FROM batches WHERE seq <= ?", (through_seq,))
        except sqlite3.DatabaseError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Close this end of the file."""
        self._db.close()

    def _translated(self, error: sqlite3.DatabaseError) -> Retry | Fatal:
        if isinstance(error, sqlite3.OperationalError):
            return Retry(f"{self._path}: {error}")
        return Fatal(f"{self._path} is damaged ({error}): nothing was changed; `flopledger agent run` says what to do")
