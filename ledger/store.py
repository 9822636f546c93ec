"""The ClickHouse engine behind the ledger, reached in one way: embedded in this process, or a server over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from ledger.errors import Damaged, Held, LedgerError, Refused, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

_INSERT_SETTINGS = {
    # Defaults of these moved between engine versions, so each one that correctness touches is sent.
    "async_insert": 0,
    "insert_deduplicate": 0,
    "input_format_null_as_default": 0,
    "materialized_views_ignore_errors": 0,
}
_READ_SETTINGS = {
    "readonly": 1,
    "max_execution_time": 60,
    "timeout_overflow_mode": "throw",
    "max_result_rows": 1_000_000,
    "result_overflow_mode": "throw",
}
_ARROW_SETTINGS = {"output_format_arrow_string_as_string": 0, "output_format_arrow_compression_method": "none"}
_CODE_CANNOT_OPEN_FILE = "Code: 76"
_ENGINE_NAMES = frozenset({"data", "metadata", "store", "tmp"})
"""What the engine makes first; a process killed at that moment leaves some of them."""
_DAMAGE_CODES = ("Code: 33.", "Code: 40.", "Code: 226.", "Code: 246.", "Code: 271.", "Code: 432.")
_RETRY_CODES = ("Code: 159", "Code: 202", "Code: 209", "Code: 210", "Code: 241", "Code: 243", "Code: 252")


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of a query with the names of their columns."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        """One mapping per row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Store:
    """One connection to one engine. Thread-safe: the client serialises calls."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    def embedded(cls, directory: Path) -> Store:
        """The engine inside this process, on `directory`. One process per directory: raises `Held` otherwise."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _refuse_strangers(directory)
            # Times know that they are in UTC: a naive one would be taken for this machine's local time.
            client = clickhouse_connect.get_client(
                interface="chdb", path=str(directory), database="default", tz_mode="aware"
            )
        except OSError as error:
            raise Damaged(f"{directory}: {error.strerror}; choose another with FLOPLEDGER_DATA_DIR") from error
        except ClickHouseError as error:
            if _CODE_CANNOT_OPEN_FILE in str(error):
                raise Held(f"{directory} is held by another process; stop it, or use another directory") from error
            raise Damaged(
                f"{directory} cannot be opened: {_first_line(error)}; restore it from a copy, or move it away"
            ) from error
        return cls(client)

    def command(self, sql: str) -> None:
        """Run one statement that returns nothing: migrations only."""
        try:
            self._client.command(sql)
        except ClickHouseError as error:
            raise _translated(error) from error

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Run one statement read-only, with limits that throw and never cut a result short."""
        try:
            result = self._client.query(sql, parameters=dict(parameters or {}), settings=_READ_SETTINGS)
        except ClickHouseError as error:
            raise _translated(error) from error
        return Result(tuple(result.column_names), result.result_rows)

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The same as `query`, by column: strings as bytes, a UInt128 as sixteen bytes, little-endian."""
        # In the statement itself: set beside it, the embedded engine could not take `readonly` back.
        settings = ", ".join(f"{name} = {value!r}" for name, value in (_ARROW_SETTINGS | _READ_SETTINGS).items())
        try:
            table: pa.Table = self._client.query_arrow(f"{sql}\nSETTINGS {settings}", parameters=dict(parameters or {}))
        except ClickHouseError as error:
            raise _translated(error) from error
        return table

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert whole or not at all; on return the rows are on disk. The caller vouches for every value: the engine
        takes a null for a zero and a negative number for a huge one.
        """
        try:
            self._client.insert_arrow(table, rows, settings=_INSERT_SETTINGS)
        except ClickHouseError as error:
            raise _translated(error) from error

    def close(self) -> None:
        """Let go of the engine, and with it of the directory."""
        self._client.close()


def _refuse_strangers(directory: Path) -> None:
    """The engine would make itself at home between somebody else's files."""
    names = {entry.name for entry in directory.iterdir()}
    if "metadata" not in names and names - _ENGINE_NAMES:
        raise Damaged(
            f"{directory} holds files that are not a ledger's, such as {min(names - _ENGINE_NAMES)}: "
            "move them away, or choose another directory with FLOPLEDGER_DATA_DIR"
        )


def _translated(error: ClickHouseError) -> LedgerError:
    text = _first_line(error)
    if isinstance(error, OperationalError) or any(code in text for code in _RETRY_CODES):
        return Retry(text)
    if any(code in text for code in _DAMAGE_CODES):
        return Damaged(f"a file of the ledger is damaged, restore it from a copy: {text}")
    if isinstance(error, DatabaseError):
        return Refused(text)
    return LedgerError(text)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
