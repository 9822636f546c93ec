"""The way in: open a data directory, record evidence, write the journal, raise what is due, answer questions."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any

from cli.held import AlreadyHeld, hold
from ledger.assessment.assessor import Assessor
from ledger.assessment.rules import Rules
from ledger.catalogue_record import due
from ledger.deliveries import Attempt, record_attempts
from ledger.errors import Damaged, Held, Refused
from ledger.journal import Journal, Statement
from ledger.meter_ids import MeterIds
from ledger.migrate import migrate, refuse_unmigrated
from ledger.place import KEY_FILE, Server
from ledger.proof.checkpoint import KIND as CHECKPOINT
from ledger.proof.checkpoint import statement
from ledger.proof.log import Log
from ledger.proof.rebuild import Rebuilt, rebuild
from ledger.record import record
from ledger.requests import Requests
from ledger.store import Result, Store
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from ledger.assessment.alert import Alert
    from ledger.evidence import Evidence
    from ledger.place import Place


class Ledger:
    """One ledger: held by this process alone, or on a server that others record into as well. Thread-safe."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        now_ns: Callable[[], int],
        lock: IO[str] | None = None,
        is_writer: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_writer` says whether this process is the one that writes the journal now."""
        self._store = store
        self._journal = journal
        self._now_ns = now_ns
        self._lock = lock
        self._requests = Requests(store)
        self.is_writer = is_writer
        self._meter_ids = MeterIds(store)
        self._log = Log(store)
        self._logging = threading.Lock()
        self._published = False
        self.watch(Rules())

    @classmethod
    def open(cls, place: Place, now_ns: Callable[[], int], is_writer: Callable[[], bool] = lambda: True) -> Ledger:
        """The ledger there: in a data directory made or migrated when needed, on a server only if it is ready.

        Raises `Held`, `Damaged`, `Refused`, or `Retry` for a server that does not answer.
        """
        if isinstance(place, Server):
            return cls._on(place, now_ns, is_writer)
        data_dir = place
        with ExitStack() as undo:
            lock = undo.enter_context(_hold(data_dir))
            store = Store.embedded(data_dir / "ledger")
            undo.callback(store.close)
            _prepare(store, data_dir)
            _refuse_lost_parts(store)
            ledger = cls(store, Journal(store, load_or_create_key(data_dir / KEY_FILE), now_ns), now_ns, lock)
            ledger.publish_catalogue()
            undo.pop_all()
            return ledger

    @classmethod
    def _on(cls, server: Server, now_ns: Callable[[], int], is_writer: Callable[[], bool]) -> Ledger:
        if not server.key_file.exists():
            raise Refused(
                f"{server.key_file} does not exist: all collectors of one ledger sign with the same key; put it there, "
                "or make one with `flopledger ledger migrate`"
            )
        with ExitStack() as undo:
            store = Store.server(server)
            undo.callback(store.close)
            refuse_unmigrated(store)
            journal = Journal(store, load_or_create_key(server.key_file), now_ns)
            ledger = cls(store, journal, now_ns, is_writer=is_writer)
            undo.pop_all()
            return ledger

    @property
    def shared(self) -> bool:
        """Others record into it as well."""
        return self._store.shared

    def record(self, evidence: Sequence[Evidence]) -> None:
        """Keep these batches and count those without an `excluded_reason`; on return they are on disk.

        `collisions` must have been asked about them.
        """
        record(self._store, self._meter_ids, evidence)

    def collisions(self, evidence: Sequence[Evidence]) -> list[str | None]:
        """For each batch, why it cannot be counted beside what is here already; None when it can."""
        return self._meter_ids.collisions(evidence)

    def request(self, statements: Sequence[Statement]) -> None:
        """Write to the journal; who does not write it asks for it, and goes on."""
        if self.is_writer():
            self._journal.append(statements)
        else:
            self._requests.put(statements)

    def append(self, statements: Sequence[Statement]) -> list[int]:
        """Write to the journal, or have its writer do it; returns the entries' indices."""
        if self.is_writer():
            return self._journal.append(statements)
        return self._requests.wait(self._requests.put(statements))

    def answer_requests(self) -> None:
        """Sign what others want in the journal: what its writer does every few seconds."""
        if not self.shared:
            return
        for is_checkpoint, group in groupby(self._requests.waiting(), lambda asked: asked.kind == CHECKPOINT):
            self._journal.append([self._filled(asked) if is_checkpoint else asked for asked in group])

    def checkpoint(self, author: str) -> int:
        """Number all evidence, and put its Merkle root and every chain's head on record; returns the entry's index."""
        return self._journal.append([self._checkpoint(author)])[0]

    def rebuild(self, progress: Callable[[float], object] = lambda _: None) -> Rebuilt:
        """Derive every other table from the evidence anew; readers see the old ones until the new ones are whole."""
        with self._logging:
            return rebuild(self._store, self._now_ns, progress)

    def _filled(self, asked: Statement) -> Statement:
        return replace(self._checkpoint(asked.author), request=asked.request, user=asked.user)

    def _checkpoint(self, author: str) -> Statement:
        with self._logging:
            return statement(self._store, self._log.extend(), author)

    def publish_catalogue(self) -> None:
        """Put on record what of the shipped lines and policies is not there yet."""
        self._journal.append(due(self))
        self._published = True

    def watch(self, rules: Rules) -> None:
        """Raise alerts by these rules from now on."""
        self._assessor = Assessor(
            self, self._journal.append, lambda rows: self._store.insert("outlook", rows), rules, shared=self.shared
        )

    def raise_alerts(self, author: str) -> list[Alert]:
        """Assess what has changed, put what is new on record, and return the alerts that were raised."""
        if not self._published:
            self.publish_catalogue()
        return self._assessor.assess(author, self._now_ns())

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep what became of messages about alerts."""
        record_attempts(self._store, attempts)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Answer one of our own statements, read-only. What strangers ask goes through `ledger.readonly` first."""
        return self._store.query(sql, parameters)

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The same by column, for evidence that is read in pages."""
        return self._store.query_arrow(sql, parameters)

    def close(self) -> None:
        """Let go of the directory."""
        self._store.close()
        if self._lock is not None:
            self._lock.close()


def _prepare(store: Store, data_dir: Path) -> None:
    try:
        migrate(store)
    except Refused as error:
        raise Damaged(
            f"the tables in {data_dir / 'ledger'} cannot be used: {error}; restore them from a copy, or move them away"
        ) from error


def _refuse_lost_parts(store: Store) -> None:
    """The engine puts files that it cannot read aside and goes on with smaller totals; we do not."""
    lost = store.query(
        "SELECT table, path FROM system.detached_parts "
        "WHERE database = currentDatabase() AND startsWith(reason, 'broken') ORDER BY path LIMIT 1"
    ).rows
    if lost:
        table, path = lost[0]
        raise Damaged(f"rows of {table} cannot be read any more and lie in {path}: restore the ledger from a copy")


def _hold(data_dir: Path) -> IO[str]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return hold(data_dir / "ledger.lock")
    except AlreadyHeld as error:
        raise Held(
            f"{data_dir} is held by another process (pid {error.holder}): stop it, or choose another directory with "
            "FLOPLEDGER_DATA_DIR"
        ) from error
    except OSError as error:
        raise Held(f"{data_dir}: {error.strerror}; choose another directory with FLOPLEDGER_DATA_DIR") from error
