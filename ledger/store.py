"""The ClickHouse engine behind the ledger, reached in one way: embedded in this process, or a server over HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from ledger.cluster import Cluster
from ledger.engine_settings import MINUTES_OF_DDL, Settings, insert_settings, once_settings, read_settings, understood
from ledger.errors import Damaged, Held, LedgerError, Refused, Retry
from ledger.server import ANSWER_S, open_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

    from ledger.place import Server

_ARROW_SETTINGS = {"output_format_arrow_string_as_string": 0, "output_format_arrow_compression_method": "none"}
_CODE_CANNOT_OPEN_FILE = "Code: 76"
_ENGINE_NAMES = frozenset({"data", "metadata", "store", "tmp"})
"""What the engine makes first; a process killed at that moment leaves some of them."""
_DAMAGE_CODES = frozenset({33, 40, 226, 246, 271, 432})
_RETRY_CODES = frozenset(
    {
        *(159, 202, 209, 210, 236, 241, 243, 252),  # time, load, network, memory, disk, too many parts
        *(225, 242, 279, 285, 286, 289, 319, 425, 439, 999),  # replicas, quorum, Keeper
    }
)


@dataclass(frozen=True, slots=True)
class Result:
    """Rows of a query with the names of their columns."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        """One mapping per row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Store:
    """One connection to one engine. Thread-safe."""

    def __init__(self, client: Client, cluster: Cluster | None = None, *, shared: bool = False) -> None:
        """`shared`: other processes write to it as well. `cluster`: its tables are spread over that."""
        self._client = client
        self.cluster = cluster
        self.shared = shared
        self._readonly = shared and client.command("SELECT getSetting('readonly')") != 0

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

    @classmethod
    def server(cls, server: Server, answer_s: int = ANSWER_S) -> Store:
        """A server over HTTP; raises `Retry` when it does not answer, `Fatal` or `Refused` when it cannot be used."""
        try:
            client = open_client(server, answer_s)
        except ClickHouseError as error:
            raise _translated(error) from error
        cluster = None if server.cluster is None else Cluster(server.cluster, server.database)
        return cls(client, cluster, shared=True)

    def command(self, sql: str) -> None:
        """Run one statement that returns nothing: migrations and roles only."""
        try:
            self._client.command(sql, settings=self._understood(MINUTES_OF_DDL if self.cluster else {}))
        except ClickHouseError as error:
            raise _translated(error) from error

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *, fresh: bool = False) -> Result:
        """Run one statement read-only, with limits that throw and never cut a result short. `fresh`: with all that was
        inserted anywhere with `once`.
        """
        settings = self._understood(read_settings(self.shared, self._readonly, fresh and self.cluster is not None))
        try:
            result = self._client.query(sql, parameters=dict(parameters or {}), settings=settings)
        except ClickHouseError as error:
            raise _translated(error) from error
        return Result(tuple(result.column_names), result.result_rows)

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The same as `query`, by column: strings as bytes, a UInt128 as sixteen bytes, little-endian."""
        # In the statement itself: set beside it, the embedded engine could not take `readonly` back.
        wanted = self._understood(_ARROW_SETTINGS | read_settings(self.shared, self._readonly, fresh=False))
        settings = ", ".join(f"{name} = {value!r}" for name, value in wanted.items())
        try:
            table: pa.Table = self._client.query_arrow(f"{sql}\nSETTINGS {settings}", parameters=dict(parameters or {}))
        except ClickHouseError as error:
            raise _translated(error) from error
        return table

    def query_bytes(self, sql: str, form: str, limit: int = 0, query_id: str = "") -> bytes:
        """The answer in one of ClickHouse's formats, of at most `limit` rows if that is not zero."""
        settings = self._understood(
            read_settings(self.shared, self._readonly, fresh=False)
            | {"output_format_json_quote_64bit_integers": 1}
            | ({"limit": limit} if limit else {})
        )
        try:
            answer = self._client.raw_query(sql, settings={**settings, "query_id": query_id}, fmt=form)
        except ClickHouseError as error:
            raise _translated(error) from error
        return bytes(answer)

    def insert(self, table: str, rows: pa.Table, once: str | None = None) -> None:
        """Insert whole or not at all; on return the rows are on disk. The caller vouches for every value: the engine
        takes a null for a zero and a negative number for a huge one.

        Of inserts that share `once` the table takes the first and ignores the others without a word.
        """
        settings = insert_settings(self.cluster is not None) | ({} if once is None else once_settings(once))
        try:
            self._client.insert_arrow(table, rows, settings=self._understood(settings))
        except ClickHouseError as error:
            raise _translated(error) from error

    def close(self) -> None:
        """Let go of the engine, and with it of the directory."""
        self._client.close()

    def _understood(self, settings: Settings) -> Settings:
        return understood(settings, self._client.server_settings)


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
    code = getattr(error, "code", None)
    if isinstance(error, OperationalError) or code in _RETRY_CODES:
        return Retry(text)
    if code in _DAMAGE_CODES:
        return Damaged(f"a file of the ledger is damaged, restore it from a copy: {text}")
    if isinstance(error, DatabaseError):
        return Refused(text)
    return LedgerError(text)


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n", 1)[0]
    # A server's own words stand between the client's.
    return re.sub(r"^Received ClickHouse exception, code: \d+, server response: | \(for url [^)]*\)$", "", text)
