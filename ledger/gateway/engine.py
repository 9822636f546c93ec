"""Some connections of their own to the engine that holds the ledger, each with limits that throw."""

from __future__ import annotations

import queue
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import chdb
from chdb.state.sqlitelike import Connection

from ledger.gateway.errors import TOO_MANY_QUERIES, TOO_MANY_ROWS_OR_BYTES, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may cost; more of it is an error and never a shorter answer."""

    execution_s: int = 60
    memory_bytes: int = 2 << 30
    result_rows: int = 1_000_000
    result_bytes: int = 256 << 20
    concurrent: int = 4
    wait_s: float = 10.0
    """How long a question waits for its turn."""
    request_bytes: int = 1 << 20

    def settings(self) -> dict[str, int | str]:
        """As the engine calls them."""
        return {
            "max_execution_time": self.execution_s,
            "timeout_overflow_mode": "throw",
            "max_memory_usage": self.memory_bytes,
            "max_result_rows": self.result_rows,
            "max_result_bytes": self.result_bytes,
            "result_overflow_mode": "throw",
            "max_query_size": self.request_bytes,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes in the format that was asked for, and what it took."""

    data: bytes
    rows_read: int
    bytes_read: int
    elapsed_ns: int


class Engine:
    """Answers questions that `ledger.readonly` has passed, several at a time. Thread-safe."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self._limits = limits
        self._control = Connection(str(directory.resolve()))
        self._all = [Connection(str(directory.resolve())) for _ in range(limits.concurrent)]
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for connection in self._all:
            for name, value in limits.settings().items():
                connection.query(f"SET {name} = {value!r}")
            # Reads, and settings by SET: the statement itself cannot bring any.
            connection.query("SET readonly = 2")
            self._free.put(connection)
        self.version, self.timezone, self.name = str(
            self._control.query("SELECT version(), timezone(), displayName()", "TSV").bytes(), "utf-8"
        ).split("\t")

    def ask(
        self, sql: str, form: str, database: str, parameters: Mapping[str, str], settings: Mapping[str, str], mark: str
    ) -> Answer:
        """The answer to one statement; `mark` is what `cancel` calls it. Raises `Failed`."""
        with self._turn() as connection:
            try:
                connection.query(f"USE {database}")
                for name, value in {**settings, "log_comment": mark}.items():
                    connection.query(f"SET {name} = '{value}'")
                result = connection.query(sql, form, params=dict(parameters))
                data = result.bytes() or b""
            except (chdb.ChdbError, RuntimeError) as error:
                raise Failed.of(str(error)) from error
            finally:
                for name in settings:
                    connection.query(f"SET {name} = DEFAULT")
        # The engine counts what it holds, not what it writes: wide formats are larger.
        if len(data) > self._limits.result_bytes:
            raise Failed(TOO_MANY_ROWS_OR_BYTES, f"Limit for result exceeded: {len(data)} bytes as {form}")
        return Answer(data, result.storage_rows_read(), result.storage_bytes_read(), int(result.elapsed() * 1e9))

    def cancel(self, mark: str) -> None:
        """Stop the question with this mark, if it still runs."""
        self._control.query(f"KILL QUERY WHERE Settings['log_comment'] = '{uuid.UUID(mark)}' ASYNC")

    def close(self) -> None:
        """Let go of the engine; whoever waits for an answer gets an error."""
        self._control.query("KILL QUERY WHERE Settings['log_comment'] != '' ASYNC")
        for connection in [*self._all, self._control]:
            connection.close()

    @contextmanager
    def _turn(self) -> Iterator[Any]:
        try:
            connection = self._free.get(timeout=self._limits.wait_s)
        except queue.Empty as error:
            raise Failed(
                TOO_MANY_QUERIES, f"Too many simultaneous queries. Maximum: {self._limits.concurrent}; ask again later"
            ) from error
        try:
            yield connection
        finally:
            self._free.put(connection)
