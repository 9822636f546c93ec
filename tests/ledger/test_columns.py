from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.errors import Refused

if TYPE_CHECKING:
    from ledger.store import Store

COLUMNS_SQL = (
    "SELECT 'a\\xff' AS text, toFixedString('a\\xff', 2) AS fixed, toLowCardinality('x') AS low, "
    "toUInt128('340282366920938463463374607431768211455') AS big, CAST(NULL AS Nullable(UInt64)) AS missing, "
    "{many:Array(UInt64)} AS many"
)
COLUMNS = [{"text": b"a\xff", "fixed": b"a\xff", "low": b"x", "big": b"\xff" * 16, "missing": None, "many": [1, 2]}]


def test_bytes_come_as_they_are_and_large_numbers_whole(store: Store) -> None:
    assert store.query_arrow(COLUMNS_SQL, {"many": [1, 2]}).to_pylist() == COLUMNS


def test_an_engine_that_was_read_by_column_can_still_be_written(store: Store) -> None:
    store.query_arrow("SELECT 1")
    store.command("CREATE TABLE IF NOT EXISTS written (n UInt64) ENGINE = Memory")


def test_what_writes_is_refused_by_the_engine(store: Store) -> None:
    with pytest.raises(Refused, match="readonly"):
        store.query_arrow("INSERT INTO journal SELECT * FROM journal")
