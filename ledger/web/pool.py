"""Reading a ledger that this process holds through connections of its own: a look never waits for what is recorded."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ledger.access import Access
from ledger.journal import Statement
from ledger.proof.rebuild import Rebuilt
from ledger.store import Result, Store

CONNECTIONS = 3


class Beside:
    """Reads by these stores, several at a time; writes as the ledger itself does."""

    def __init__(self, ledger: Access, stores: Sequence[Store]) -> None:
        self._ledger = ledger
        self._free: queue.SimpleQueue[Store] = queue.SimpleQueue()
        for store in stores:
            self._free.put(store)

    @contextmanager
    def _store(self) -> Iterator[Store]:
        store = self._free.get()
        try:
            yield store
        finally:
            self._free.put(store)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Rows of one statement that reads."""
        with self._store() as store:
            return store.query(sql, parameters)

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The same by column."""
        with self._store() as store:
            return store.query_arrow(sql, parameters)

    def append(self, statements: Sequence[Statement]) -> list[int]:
        """Write to the journal."""
        return self._ledger.append(statements)

    def checkpoint(self, author: str) -> int:
        """Put a checkpoint over all evidence on record."""
        return self._ledger.checkpoint(author)

    def rebuild(self, progress: Callable[[float], object]) -> Rebuilt:
        """Derive every other table anew."""
        return self._ledger.rebuild(progress)


@contextmanager
def beside(ledger: Access, data_dir: Path) -> Iterator[Access]:
    """`ledger`, which this process holds in `data_dir`, read by connections of its own."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(Store.embedded(data_dir / "ledger"))) for _ in range(CONNECTIONS)]
        yield Beside(ledger, stores)
