"""The gateway over a real ledger, asked by real clients: curl, clickhouse-connect, and what Grafana and JDBC send."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import clickhouse_connect
import httpx
import lz4.block
import lz4.frame
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
import zstandard
from clickhouse_cityhash.cityhash import CityHash128
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.exceptions import DatabaseError

from ledger.errors import Fatal
from ledger.gateway.engine import Limits
from ledger.gateway.formats import MEDIA_TYPES
from ledger.gateway.native import Walk
from ledger.gateway.server import Gateway, read_token
from ledger.ledger import Ledger
from ledger.listening import PortTaken
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS = Limits(execution_s=20, result_rows=100_000, concurrent=2, wait_s=0.2, request_bytes=1 << 16)
FLOP = 38 * 10**24
TOKEN = "a secret of the auditors"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data = tmp_path_factory.mktemp("gateway")
    with closing(Ledger.open(data, Clock())) as ledger:
        take(ledger, [Chain(1).seal(meter(FLOP, run="big"), meter(7, run="small"))])
        yield data / "ledger"


@contextmanager
def serving(directory: Path, **changes: Any) -> Iterator[Gateway]:
    gateway = Gateway(directory, **{"host": "127.0.0.1", "port": 0, "limits": LIMITS, **changes})
    gateway.start()
    try:
        wait_for(gateway)
        yield gateway
    finally:
        gateway.stop()


def wait_for(gateway: Gateway) -> None:
    for _ in range(200):
        try:
            assert httpx.get(f"http://127.0.0.1:{gateway.port}/ping").text == "Ok.\n"
            return
        except httpx.TransportError:
            time.sleep(0.02)


@pytest.fixture(scope="module")
def url(directory: Path) -> Iterator[str]:
    with serving(directory) as gateway:
        yield f"http://127.0.0.1:{gateway.port}/"


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    found = clickhouse_connect.get_client(host="127.0.0.1", port=int(url.rstrip("/").rpartition(":")[2]))
    yield found
    found.close()


def ask(url: str, sql: str, **parameters: str) -> httpx.Response:
    return httpx.post(url, content=sql, params=parameters, timeout=60)


def curl(*arguments: str) -> str:
    return subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, check=True).stdout


# Real clients.


def test_curl_asks_by_get_by_post_and_by_both(url: str) -> None:
    assert curl(f"{url}ping") == curl(f"{url}replicas_status") == curl(url) == "Ok.\n"
    assert curl("-G", url, "--data-urlencode", "query=SELECT max(flop) FROM run_totals") == f"{FLOP}\n"
    assert curl(url, "-d", "SELECT run_id FROM run_totals ORDER BY run_id FORMAT CSV") == '"big"\n"small"\n'
    assert curl(f"{url}?query=SELECT%20run_id%20FROM%20run_totals", "-d", "WHERE flop = 7") == "small\n"
    assert curl(f"{url}?param_run=small", "-d", "SELECT flop FROM run_totals WHERE run_id = {run:String}") == "7\n"
    assert curl("--compressed", f"{url}?enable_http_compression=1", "-d", "SELECT 1") == "1\n"


def test_clickhouse_connect_reads_as_from_a_server(client: Any) -> None:
    result = client.query(
        "SELECT run_id, flop, methods, first_at FROM run_totals WHERE run_id = {run:String}", parameters={"run": "big"}
    )
    assert result.column_names == ("run_id", "flop", "methods", "first_at")
    assert result.result_rows[0][:3] == ("big", FLOP, ["gpm-cycles"])
    assert client.query("SELECT * FROM run_totals LIMIT 0").column_names[0] == "run_id"
    assert client.command("SELECT count() FROM batches") == 1
    table = client.query_arrow("SELECT run_id, toUInt8(1) AS one FROM run_totals ORDER BY run_id")
    assert table.column("one").to_pylist() == [1, 1]
    with client.query_row_block_stream("SELECT number FROM numbers(70000)") as blocks:
        assert sum(len(block) for block in blocks) == 70_000
    for statement in ("DROP TABLE journal", "INSERT INTO journal (kind) VALUES ('run')"):
        with pytest.raises(DatabaseError, match=r"code: 164.*only statements that read"):
            client.command(statement)
    with pytest.raises(DatabaseError, match="only statements that read"):
        client.insert("journal", [["run"]], column_names=["kind"])


@pytest.mark.parametrize("compress", [False, "gzip", "zstd", "lz4"])
def test_clickhouse_connect_is_answered_in_the_compression_that_it_asks_for(url: str, compress: Any) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with closing(clickhouse_connect.get_client(host="127.0.0.1", port=port, compress=compress)) as client:
        assert len(client.query("SELECT number, toString(number) FROM numbers(5000)").result_rows) == 5_000


def test_clickhouse_connect_may_send_a_form(url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    form = clickhouse_connect.get_client(host="127.0.0.1", port=port, form_encode_query_params=True)
    with closing(form) as client:
        assert client.query("SELECT {a:UInt8} + 1", parameters={"a": 3}).result_rows == [(4,)]


# What the plugin's editor and its macros come to, once expanded; it reads Native by the revision that it names.
GRAFANA = [
    "SELECT displayName(), version(), revision(), timezone()",
    "SELECT 1",
    "SHOW DATABASES",
    "SHOW TABLES FROM default",
    "SELECT name FROM system.databases",
    "SELECT name, database, engine FROM system.tables WHERE database = 'default' ORDER BY name ASC",
    'DESC TABLE "default"."run_totals"',
    "SELECT name, type, table FROM system.columns WHERE database = 'default' AND table = 'run_hours'",
    "SELECT version() AS version",
    "SELECT hour AS time, flop AS value FROM run_hours "
    "WHERE hour >= toDateTime(1795000000) AND hour <= toDateTime(1796000000) ORDER BY time ASC LIMIT 1000",
    "SELECT toStartOfInterval(toDateTime64(last_at, 3), INTERVAL 60 second) AS time, run_id, max(toFloat64(flop_high)) "
    "FROM run_totals WHERE last_at >= fromUnixTimestamp64Milli(1795000000000) "
    "AND last_at <= fromUnixTimestamp64Milli(1796000000000) GROUP BY time, run_id ORDER BY time",
    "SELECT DISTINCT run_id FROM run_totals LIMIT 1000",
    "SELECT `run_id`, `basis`, `methods`, map('a', 1) AS m, tuple(1, 'x') AS t, toLowCardinality('l'), [NULL, 'a'] "
    "FROM \"default\".\"run_totals\" WHERE ( run_id IN ('big','small') ) ORDER BY run_id LIMIT 100",
    "SELECT name, comment, total_rows, metadata_modification_time FROM system.tables",
    "SELECT * FROM batches LIMIT 10",
    "SELECT * FROM meter_totals LIMIT 0",
]
REVISION = 54_483


@pytest.mark.parametrize("sql", GRAFANA)
def test_what_grafana_asks_is_answered_in_blocks_of_its_revision(url: str, sql: str) -> None:
    asked = {"default_format": "Native", "client_protocol_version": str(REVISION), "database": "default"}
    answer = ask(url, sql, **asked, max_execution_time="60")
    assert answer.status_code == 200, answer.text
    plain = ask(url, sql, default_format="Native").content
    assert unrevised(answer.content) == plain or "system." in sql
    assert answer.content.startswith(bytes([1, 0, 2, 255, 255, 255, 255, 0])) or not plain


def unrevised(data: bytes) -> bytes:
    """What that revision has more of, taken out again: a block's info, and a zero before each column's data."""
    walk, pieces = Walk(data), []
    while walk.place < len(data):
        walk.place += 8
        begin = walk.place
        columns, rows = walk.number(), walk.number()
        pieces.append(data[begin : walk.place])
        for _ in range(columns):
            begin = walk.place
            walk.text()
            kind = get_from_name(walk.text().decode())
            pieces.append(data[begin : walk.place])
            assert data[walk.place] == 0
            walk.place += 1
            begin = walk.place
            if rows:
                walk.prefix(kind)
                walk.column(kind, rows)
            pieces.append(data[begin : walk.place])
    return b"".join(pieces)


JDBC = [
    "SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1",
    "SELECT name FROM system.tables WHERE database = 'default'",
    "select number, toUInt256('1000000000000000000000000') from numbers(2)",
]


@pytest.mark.parametrize("sql", JDBC)
@pytest.mark.parametrize("asked", [{"compress": "1"}, {"enable_http_compression": "1"}, {}])
def test_what_jdbc_asks_is_answered_in_its_frames(url: str, sql: str, asked: dict[str, str]) -> None:
    headers = {
        "X-ClickHouse-Format": "RowBinaryWithNamesAndTypes",
        "X-ClickHouse-Database": "default",
        "X-ClickHouse-User": "default",
        "X-ClickHouse-Key": "",
        "Accept-Encoding": "lz4" if "enable_http_compression" in asked else "identity",
    }
    parameters = {**asked, "wait_end_of_query": "1", "async_insert": "0", "role": "auditor"}
    answer = httpx.post(url, content=sql, params=parameters, headers=headers)
    plain = ask(url, sql, default_format="RowBinaryWithNamesAndTypes").content
    assert answer.headers["X-ClickHouse-Format"] == "RowBinaryWithNamesAndTypes"
    data = answer.content
    if "compress" in asked:
        data = unframed(data)
    elif asked:
        assert answer.headers["content-encoding"] == "lz4"
        data = lz4.frame.decompress(data)
    assert data == plain


def unframed(data: bytes) -> bytes:
    found = b""
    while data:
        size, whole = int.from_bytes(data[17:21], "little"), int.from_bytes(data[21:25], "little")
        digest = CityHash128(data[16 : 16 + size])
        halves = (digest >> 64).to_bytes(8, "little"), (digest & (1 << 64) - 1).to_bytes(8, "little")
        assert data[:16] == b"".join(halves)
        assert data[16] == 0x82
        found += lz4.block.decompress(data[25 : 16 + size], whole)
        data = data[16 + size :]
    return found


# Answers.


@pytest.mark.parametrize("form", sorted(MEDIA_TYPES))
def test_every_format_is_one_that_the_engine_knows(url: str, form: str) -> None:
    answer = ask(url, f"SELECT 1 AS a, 'x' AS b FORMAT {form}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-ClickHouse-Format"] == form
    assert bool(answer.content) == (form != "Null")


def test_formats_say_what_the_ledger_says(url: str) -> None:
    sql = "SELECT run_id, flop FROM run_totals ORDER BY run_id"
    rows = [{"run_id": "big", "flop": FLOP}, {"run_id": "small", "flop": 7}]
    assert ask(url, sql, default_format="JSON").json()["data"] == rows
    lines = ask(url, f"{sql} FORMAT JSONEachRow", output_format_json_quote_64bit_integers="1").text
    assert [json.loads(line)["flop"] for line in lines.splitlines()] == [str(FLOP), "7"]
    with pa.ipc.open_stream(ask(url, "SELECT number FROM numbers(3) FORMAT ArrowStream").content) as reader:
        assert reader.read_all().column("number").to_pylist() == [0, 1, 2]
    parquet = pa.BufferReader(ask(url, "SELECT number FROM numbers(3) FORMAT Parquet").content)
    assert pa.parquet.read_table(parquet).num_rows == 3


def test_headers_say_what_it_took(url: str) -> None:
    answer = ask(url, "SELECT count() FROM numbers(1000)", query_id="mine")
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert int(json.loads(answer.headers["X-ClickHouse-Summary"])["elapsed_ns"]) > 0


@pytest.mark.parametrize(
    ("accepted", "name"), [("gzip, deflate, br, zstd", "zstd"), ("gzip", "gzip"), ("lz4", "lz4"), ("br", None)]
)
def test_an_answer_is_compressed_only_when_the_client_says_so(url: str, accepted: str, name: str | None) -> None:
    for asked in ({}, {"enable_http_compression": "1"}):
        with httpx.stream("POST", url, content="SELECT 42", params=asked, headers={"accept-encoding": accepted}) as got:
            raw = b"".join(got.iter_raw())
        assert got.headers.get("content-encoding") == (name if asked else None)
        if name == "zstd" and asked:
            assert zstandard.ZstdDecompressor().decompress(raw) == b"42\n"


# Bad input.

BAD = [
    (
        "DROP TABLE journal",
        403,
        "Code: 164. DB::Exception: only statements that read: SELECT, DESCRIBE, SHOW; not DROP",
    ),
    ("INSERT INTO journal (kind) VALUES ('run')", 403, "not INSERT. In: INSERT INTO journal"),
    ("ALTER TABLE journal DELETE WHERE true", 403, "not ALTER"),
    ("KILL QUERY WHERE true", 403, "not KILL"),
    ("SET readonly = 0", 403, "not SET"),
    ("SYSTEM SHUTDOWN", 403, "not SYSTEM"),
    ("SELECT 1 INTO OUTFILE '/tmp/never'", 403, "INTO writes"),
    ("SELECT 1 INTO OUTFILE '/tmp/never' FORMAT CSV", 403, "INTO writes"),
    ("SELECT * FROM file('/etc/passwd')", 403, "table function file is not allowed"),
    ("SELECT * FROM url('http://127.0.0.1:1/', CSV)", 403, "table function url is not allowed"),
    ("SELECT * FROM remote('127.0.0.1', system.one)", 403, "table function remote is not allowed"),
    ("SELECT 1 SETTINGS max_execution_time = 0", 403, "SETTINGS cannot be changed"),
    ("SELECT 1 SETTINGS readonly = 0 FORMAT JSON", 403, "SETTINGS cannot be changed"),
    ("SELECT 1; DROP TABLE journal", 400, "Code: 62. DB::Exception: one statement at a time"),
    ("SELEC 1", 403, "not SELEC"),
    ("SELECT 1 FROM", 400, "Code: 62. DB::Exception: not a statement we can read"),
    ("", 400, "nothing was asked"),
    ("SELECT 1 FORMAT Template", 400, "Code: 73. DB::Exception: Unknown format Template"),
    ("SELECT * FROM nope", 404, "Code: 60. DB::Exception: Unknown table expression identifier 'nope'"),
    ("SELECT nope FROM journal", 404, "Code: 47. DB::Exception: "),
    ("SELECT {x:UInt8}", 400, "Code: 456. DB::Exception: Substitution `x` is not set"),
    ("SELECT number FROM numbers(100001)", 500, "Code: 396. DB::Exception: Limit for result exceeded"),
    ("SELECT groupArray(number) FROM numbers(1000000000)", 500, "Code: 241. DB::Exception: "),
    ("SELECT throwIf(1)", 500, "Code: 395. DB::Exception: "),
    (f"SELECT '{'x' * (1 << 16)}'", 413, "Code: 307. DB::Exception: a request holds at most 65536 bytes"),
]


@pytest.mark.parametrize(("sql", "status", "says"), BAD, ids=[sql[:40] for sql, _, _ in BAD])
def test_what_cannot_be_answered_says_why_as_clickhouse_does(url: str, sql: str, status: int, says: str) -> None:
    answer = ask(url, sql, query="") if not sql else ask(url, sql)
    assert says in answer.text
    assert answer.status_code == status
    assert f"Code: {answer.headers['X-ClickHouse-Exception-Code']}." in answer.text
    assert "(version " in answer.text
    assert ask(url, "SELECT count() FROM batches").text == "1\n"


@pytest.mark.parametrize(
    ("parameters", "headers", "says"),
    [
        ({"database": "elsewhere"}, {}, "Code: 81. DB::Exception: Database elsewhere does not exist"),
        ({"default_format": "Template"}, {}, "Unknown format Template"),
        ({"client_protocol_version": "new"}, {}, "is not a number"),
        ({"decompress": "1"}, {}, "sent as plain text"),
        ({}, {"content-encoding": "gzip"}, "sent as plain text"),
        ({}, {"content-type": "multipart/form-data; boundary=x"}, "nothing was asked"),
        ({}, {"host": "evil.example"}, "Code: 516. DB::Exception: asked as evil.example"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    url: str, parameters: dict[str, str], headers: dict[str, str], says: str
) -> None:
    answer = httpx.post(url, content="SELECT 1", params=parameters, headers=headers)
    assert says in answer.text
    assert answer.status_code >= 400


def test_bytes_that_are_no_text_are_refused(url: str) -> None:
    assert "not UTF-8 at byte 8" in httpx.post(url, content=b"SELECT '\xff'").text


def test_settings_in_the_address_move_no_limit(url: str) -> None:
    asked = {"max_result_rows": "0", "readonly": "0", "max_execution_time": "0", "output_format_schema": "/tmp/never"}
    assert ask(url, "SELECT number FROM numbers(100001)", **asked).status_code == 500
    assert ask(url, "DROP TABLE journal", **asked).status_code == 403
    assert ask(url, "SELECT true", bool_true_representation="yes").text == "yes\n"
    assert ask(url, "SELECT true").text == "true\n"


def test_a_client_that_hangs_up_stops_its_question_and_one_too_many_is_told_so(url: str) -> None:
    endless = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, content=endless, timeout=0.5)
    running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sipHash64%'"
    for _ in range(200):
        if ask(url, running).text == "0\n":
            break
        time.sleep(0.02)
    assert ask(url, running).text == "0\n"


def test_a_question_without_end_is_ended(directory: Path) -> None:
    with serving(directory, limits=Limits(execution_s=1, concurrent=1, wait_s=0.05)) as gateway:
        answer = ask(f"http://127.0.0.1:{gateway.port}/", "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)")
    assert answer.status_code == 500
    assert "Code: 159. DB::Exception: Timeout exceeded" in answer.text


def test_more_questions_than_turns_are_told_to_come_again(directory: Path) -> None:
    endless = "SELECT sum(sipHash64(number)) FROM numbers(1000000000000)"
    with serving(directory, limits=Limits(execution_s=2, concurrent=1, wait_s=0.05)) as gateway:
        place = f"http://127.0.0.1:{gateway.port}/"
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: ask(place, endless), range(3)))
    texts = sorted(answer.text[:9] for answer in answers)
    assert texts.count("Code: 159") == 1
    assert texts.count("Code: 202") == 2


def test_without_the_token_nothing_is_told(directory: Path) -> None:
    with serving(directory, token=TOKEN, host="127.0.0.1") as gateway:
        place = f"http://127.0.0.1:{gateway.port}/"
        right: list[dict[str, Any]] = [
            {"headers": {"authorization": f"Bearer {TOKEN}"}},
            {"headers": {"x-clickhouse-key": TOKEN}},
            {"auth": ("auditor", TOKEN)},
            {"params": {"password": TOKEN}},
        ]
        wrong: list[dict[str, Any]] = [{}, {"headers": {"authorization": "Bearer x"}}, {"auth": ("auditor", "")}]
        for options in right:
            assert httpx.post(place, content="SELECT 1", **options).text == "1\n"
        for options in wrong:
            answer = httpx.post(place, content="SELECT 1", **options)
            assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
            assert TOKEN not in answer.text


def test_a_gateway_that_others_can_reach_needs_a_token(directory: Path) -> None:
    with pytest.raises(Fatal, match="set FLOPLEDGER_GATEWAY_TOKEN_FILE"):
        Gateway(directory, "0.0.0.0", 0)


def test_a_port_that_is_taken_is_said_with_what_to_do(directory: Path, url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(PortTaken, match="choose another FLOPLEDGER_GATEWAY_PORT, or 0 for none"):
        Gateway(directory, "127.0.0.1", port)


def test_a_token_file_must_say_something(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="cannot be read"):
        read_token(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(Fatal, match="is empty"):
        read_token(tmp_path / "empty")
