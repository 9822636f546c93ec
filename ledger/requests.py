"""What others than the writer want in the journal of a server: put into a table, signed by the writer, waited for.

A request is known by its id. However often it is put, by however many, and whoever signs: the journal takes it once.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import uuid_utils

from ledger.errors import Refused, Retry
from ledger.journal import Statement
from ledger.rows import required, to_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.store import Store

log = logging.getLogger(__name__)

PATIENCE_S = 60.0
LOOK_EVERY_S = 0.25
LATE_S = 3600
"""How much later than others a request may reach the node that the writer asks."""
WRITERS_OWN = frozenset({"alert", "resolution", "foreseeable"})
"""What only follows from the ledger itself."""
ROWS = pa.schema(
    [
        required("id", pa.string()),
        required("kind", pa.string()),
        required("author", pa.string()),
        required("data", pa.string()),
    ]
)


class Requests:
    """The table of requests of one server."""

    def __init__(self, store: Store, pause: Callable[[float], object] = time.sleep) -> None:
        self._store = store
        self._pause = pause
        self._answered_until = 0
        self._refused: set[str] = set()

    def put(self, statements: Sequence[Statement]) -> list[str]:
        """Ask for these, in order; returns their ids. A statement with an id of its own keeps it."""
        asked = [s.request or str(uuid_utils.uuid7()) for s in statements]
        if asked:
            columns: dict[str, list[Any]] = {
                "id": asked,
                "kind": [s.kind for s in statements],
                "author": [s.author for s in statements],
                "data": [_encoded(s) for s in statements],
            }
            self._store.insert("journal_requests", to_table(ROWS, columns))
        return asked

    def wait(self, asked: Sequence[str], patience_s: float = PATIENCE_S) -> list[int]:
        """The entries' indices once all of these stand in the journal; raises `Retry` when that takes too long."""
        deadline = time.monotonic() + patience_s
        while True:
            rows = self._store.query(
                "SELECT request, min(entry_index) FROM journal WHERE request IN {ids:Array(String)} GROUP BY request",
                {"ids": list(asked)},
            ).rows
            found = {request: int(index) for request, index in rows}
            if len(found) == len(set(asked)):
                return [found[request] for request in asked]
            if time.monotonic() > deadline:
                raise Retry(
                    f"nobody has signed this within {patience_s:.0f} s: the journal is written by the collector that "
                    "owns partition 0 of the topic, and none is at work (flopledger collector run). The request stays, "
                    "and is signed when one comes; do not make it again"
                )
            self._pause(LOOK_EVERY_S)

    def waiting(self) -> list[Statement]:
        """What is not in the journal yet, oldest first, each id once; for the writer alone.

        What makes no sense is left out, and said once.
        """
        ((newest,),) = self._store.query("SELECT toUnixTimestamp(max(at)) FROM journal_requests").rows
        rows = self._store.query(
            "SELECT id, argMin(tuple(user, kind, author, data), at) AS asked "
            "FROM journal_requests WHERE at >= fromUnixTimestamp({since:UInt32}) "
            "AND id NOT IN (SELECT request FROM journal WHERE request != '') GROUP BY id ORDER BY min(at), id",
            {"since": max(0, self._answered_until - LATE_S)},
            fresh=True,
        ).rows
        found = [self._statement(identity, *asked) for identity, asked in rows]
        signable = [statement for statement in found if statement is not None]
        if not signable:
            self._answered_until = int(newest)
        return signable

    def _statement(self, identity: str, user: str, kind: str, author: str, data: str) -> Statement | None:
        problem = "only the ledger itself says that" if kind in WRITERS_OWN else None
        try:
            content = json.loads(data)
        except ValueError as error:
            problem = f"its data are not JSON: {error}"
        else:
            if not isinstance(content, dict):
                problem = "its data are not a JSON object"
            elif problem is None:
                return Statement(kind, author, content, request=identity, user=user)
        if identity not in self._refused:
            log.error("request %s of %s for a %s in the journal is not signed: %s", identity, user, kind, problem)
            self._refused.add(identity)
        return None


def _encoded(statement: Statement) -> str:
    try:
        return orjson.dumps(dict(statement.data)).decode()
    except orjson.JSONEncodeError as error:
        raise Refused(f"the journal cannot hold this {statement.kind}: {error}") from error
