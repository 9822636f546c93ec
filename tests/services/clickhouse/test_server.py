"""The real client finds what it expects of a ClickHouse server; the same on a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.services.clickhouse.service import ClickHouseService
from tests.services.kafka.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = pa.table({"n": pa.array([1, 2], pa.uint64()), "text": ["a", "ü\t'"]})


def client_of(url: str, **changes: Any) -> Any:
    parts = urlsplit(url)
    given = {"host": parts.hostname, "port": parts.port, "interface": parts.scheme, "database": parts.path.strip("/")}
    return clickhouse_connect.get_client(**{**given, "autogenerate_session_id": False, **changes})


@pytest.fixture
def client(clickhouse_url: str) -> Iterator[Any]:
    found = client_of(clickhouse_url)
    found.command("CREATE OR REPLACE TABLE t (n UInt64, text String) ENGINE = MergeTree ORDER BY n")
    yield found
    found.close()


def counted(client: Any) -> int:
    return int(client.query("SELECT count() FROM t").first_row[0])


def test_rows_come_back_as_they_were_sent_in_every_way_of_sending(client: Any) -> None:
    client.insert_arrow("t", ROWS)
    client.insert("t", [[3, "b"]], column_names=["n", "text"])
    client.command("INSERT INTO t VALUES (4, 'c')")
    expected = [(1, "a"), (2, "ü\t'"), (3, "b"), (4, "c")]
    assert client.query("SELECT * FROM t ORDER BY n").result_rows == expected
    assert client.query_arrow("SELECT text FROM t ORDER BY n").column("text").to_pylist() == [t for _, t in expected]


def test_parameters_go_along_however_many(client: Any) -> None:
    client.insert_arrow("t", ROWS)
    asked = {"numbers": list(range(2, 5_000)), "text": "ü\t'"}
    found = client.query("SELECT n FROM t WHERE n IN {numbers:Array(UInt64)} AND text = {text:String}", asked)
    assert found.result_rows == [(2,)]


def test_settings_hold_for_the_statement_they_came_with(client: Any) -> None:
    with pytest.raises(DatabaseError, match="readonly") as caught:
        client.command("DROP TABLE t", settings={"readonly": 1, "max_threads": 1})
    assert caught.value.code == 164
    client.command("TRUNCATE TABLE t")
    assert client.command("SELECT getSetting('max_result_rows')", settings={"max_result_rows": 7}) == 7
    assert client.command("SELECT getSetting('max_result_rows')") == 0


@pytest.mark.parametrize(("sql", "code"), [("SELECT 1 FROM nowhere", 60), ("SELEKT 1", 62), ("SELECT throwIf(1)", 395)])
def test_an_error_has_the_engines_code_and_words(client: Any, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError, match=f"Code: {code}") as caught:
        client.query(sql)
    assert caught.value.code == code


def test_inserts_fail_as_they_are_told_to(client: Any, clickhouse_service: ClickHouseService) -> None:
    clickhouse_service.inject(
        {"kind": "refuse", "count": 1}, {"kind": "lose", "count": 1}, {"kind": "slow", "count": 1}
    )
    for code, rows in ((252, 0), (319, 2)):
        with pytest.raises(DatabaseError) as caught:
            client.insert_arrow("t", ROWS)
        assert (caught.value.code, counted(client)) == (code, rows)
    for rows in (4, 6):
        client.insert_arrow("t", ROWS)
        assert counted(client) == rows


def test_who_has_not_the_password_is_not_let_in_and_nobody_listens_in(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with ClickHouseService(tmp_path / "engine", "alice:secret", authority.issue("server")) as service:
        trusting = {"ca_cert": str(authority.cert), "username": "alice"}
        client = client_of(service.url, **trusting, password="secret", dedicated_pool=True)
        assert client.command("SELECT 1") == 1
        client.close()
        with pytest.raises(DatabaseError) as caught:
            client_of(service.url, **trusting, password="guess", dedicated_pool=True)
        assert caught.value.code == 516
