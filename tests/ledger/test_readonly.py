from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import Refused
from ledger.readonly import check

if TYPE_CHECKING:
    from ledger.store import Store

PASS = [
    "SELECT 1",
    "SELECT 1;",
    "SELECT 1 ; -- and that is all",
    "select run_id, flop from run_totals order by flop desc limit 3",
    "SELECT run_id, sum(flop) AS f FROM run_totals GROUP BY run_id HAVING f > 0 ORDER BY 2 DESC LIMIT 3",
    "SELECT * FROM run_totals LIMIT 0",
    "SELECT 1\nGROUP  \n BY 1",
    "SELECT 1 /* INTO OUTFILE 'x' */ + 1 -- ; DROP TABLE journal",
    "SELECT 1 # a comment too",
    "SELECT 'INTO OUTFILE', 'a;b', 'it''s', 'it\\'s', '-- ', '/*', '“”', '$$'",
    "SELECT '100 %', 10 % 3",
    "FROM journal SELECT count()",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT y FROM b",
    "SELECT (SELECT count() FROM journal) + (SELECT max(n) FROM (SELECT arrayJoin([1, 2]) AS n))",
    "SELECT 1 UNION ALL SELECT 2",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "SELECT 1 EXCEPT SELECT 2",
    "SELECT 1 INTERSECT SELECT 1",
    "SELECT number FROM numbers(3)",
    "SELECT * FROM generate_series(1, 3)",
    "SELECT * FROM meters FINAL PREWHERE run = 'r' LIMIT 1 BY run",
    "SELECT m.run FROM meters AS m LEFT JOIN runs AS r ON r.run_id = m.run ARRAY JOIN [1] AS one",
    "SELECT run_id, m FROM run_totals ARRAY JOIN methods AS m",
    "SELECT kind, count() FROM journal GROUP BY kind WITH TOTALS",
    "SELECT sumIf(1, 1), uniqExact(1), quantile(0.5)(1), argMax(1, 2), countIf(1) OVER ()",
    "SELECT arrayMap(x -> x + 1, [1, 2]), tuple(1, 2).1, map('a', 1)['a'], [1, 2][1]",
    "SELECT CAST(1 AS UInt256), 2::UInt8, toUInt256('1' || '0'), 0.5, 1e3",
    "SELECT JSONExtractString(body, 'kind') FROM journal",
    'SELECT `kind`, "at" FROM default.journal',
    "SELECT name FROM system.tables WHERE database = currentDatabase()",
    "SELECT * EXCEPT (run) FROM meters",
    "SELECT toStartOfInterval(now(), INTERVAL 1 HOUR)",
    "DESCRIBE run_totals",
    "DESC TABLE run_totals",
    "DESCRIBE (SELECT 1 AS a)",
    "SHOW TABLES",
    "SHOW TABLES LIKE 'm%' ;",
    "SHOW CREATE TABLE journal",
    "SHOW CREATE VIEW run_totals -- the rule",
    "SHOW COLUMNS FROM journal",
    "SHOW DATABASES",
]

ONLY_READS = "only statements that read"
REFUSED = [
    ("INSERT INTO journal (kind) VALUES ('run')", f"{ONLY_READS}: SELECT, DESCRIBE, SHOW; not INSERT"),
    ("INSERT INTO FUNCTION file('DIR/out') SELECT 1", ONLY_READS),
    ("CREATE TABLE t (a Int8) ENGINE = Memory", ONLY_READS),
    ("CREATE TEMPORARY TABLE t (a Int8)", ONLY_READS),
    ("CREATE FUNCTION f AS x -> x", ONLY_READS),
    ("DROP TABLE journal", ONLY_READS),
    ("TRUNCATE TABLE journal", ONLY_READS),
    ("ALTER TABLE journal DELETE WHERE true", ONLY_READS),
    ("DELETE FROM journal WHERE true", ONLY_READS),
    ("UPDATE journal SET kind = '' WHERE true", ONLY_READS),
    ("RENAME TABLE journal TO j", ONLY_READS),
    ("EXCHANGE TABLES journal AND batches", ONLY_READS),
    ("ATTACH TABLE t", ONLY_READS),
    ("DETACH TABLE journal", ONLY_READS),
    ("OPTIMIZE TABLE journal FINAL", ONLY_READS),
    ("BACKUP TABLE journal TO File('DIR/out')", ONLY_READS),
    ("RESTORE TABLE journal FROM File('DIR/out')", ONLY_READS),
    ("KILL QUERY WHERE true", f"{ONLY_READS}: SELECT, DESCRIBE, SHOW; not KILL"),
    ("KILL MUTATION WHERE true", ONLY_READS),
    ("SYSTEM SHUTDOWN", ONLY_READS),
    ("SYSTEM RELOAD CONFIG", ONLY_READS),
    ("SET readonly = 0", ONLY_READS),
    ("USE system", ONLY_READS),
    ("GRANT ALL ON *.* TO me", ONLY_READS),
    ("EXPLAIN SELECT 1", ONLY_READS),
    ("EXECUTE AS me SELECT 1", ONLY_READS),
    ("BEGIN TRANSACTION", ONLY_READS),
    ("", "nothing was asked"),
    ("-- nothing", "nothing was asked"),
    ("SELECT 1; SELECT 2", "one statement at a time"),
    ("SELECT 1; DROP TABLE journal", "one statement at a time"),
    ("SHOW TABLES; DROP TABLE journal", "one statement at a time"),
    ("SELECT 1 FROM", "not a statement we can read"),
    ("SELECT 'unclosed", "not a statement we can read"),
    ("SELECT 1 /* unclosed", "not a statement we can read"),
    # Writes.
    ("SELECT 1 INTO OUTFILE 'DIR/out'", "INTO writes"),
    ("SELECT 1 INTO/**/OUTFILE 'DIR/out'", "INTO writes"),
    ("SELECT 1 UNION ALL SELECT 2 INTO OUTFILE 'DIR/out' TRUNCATE", "INTO writes"),
    ("WITH a AS (SELECT 1) SELECT * FROM a INTO OUTFILE 'DIR/out' FORMAT CSV", "INTO writes"),
    ("DESCRIBE journal INTO OUTFILE 'DIR/out'", "INTO writes"),
    ("SHOW TABLES INTO OUTFILE 'DIR/out'", "of SHOW only"),
    # Two parsers, one text: a comment for one of them and not for the other.
    ("SELECT 1 -- \r, '\nINTO OUTFILE $$DIR/out$$ -- '", "INTO writes|only plain names"),
    ("SELECT 1 -- \r, '\nWHERE ignore(file($$DIR/secret$$)) -- '", "."),
    ("SELECT $$ ' $$, file('DIR/secret') -- '", "only plain names"),
    ("SELECT “ ' ” , 1 -- '", "only plain names|not a statement"),
    ("SELECT ‘a’", "only plain names"),
    ("SELECT 1 AS `a\\` , 2 AS `b`", "only plain names|not a statement"),
    ("SELECT 1 AS `a\\`b`", "only plain names"),
    # Files and the network.
    ("SELECT * FROM file('DIR/secret')", "table function file is not allowed"),
    ("SELECT * FROM `file`('DIR/secret')", "table function file is not allowed"),
    ("SELECT * FROM FILE('DIR/secret')", "table function file is not allowed"),
    ("SELECT * FROM 'DIR/secret'", "is no table of the ledger"),
    ("SELECT * FROM `DIR/secret` ; -- ", "is no table of the ledger"),
    ('SELECT * FROM "DIR/secret"', "is no table of the ledger"),
    ("SELECT * FROM default.`DIR/secret`", "is no table of the ledger"),
    ("SELECT * FROM {where:Identifier}", "a table is called by its name"),
    ("SELECT file('DIR/secret')", "function file reaches files or the network"),
    ("SELECT 1 WHERE 1 IN file('DIR/secret')", "function file reaches files or the network"),
    ("SELECT 1 WHERE 1 IN (SELECT * FROM file('DIR/secret'))", "table function file is not allowed"),
    ("SELECT (SELECT count() FROM url('http://127.0.0.1:1/'))", "table function url is not allowed"),
    ("WITH a AS (WITH b AS (SELECT * FROM s3('http://127.0.0.1:1/')) SELECT * FROM b) SELECT * FROM a", "s3"),
    ("SELECT * FROM journal JOIN remote('127.0.0.1', system.one) AS r ON true", "table function remote"),
    ("SELECT 1 UNION ALL SELECT * FROM remoteSecure('127.0.0.1', system.one)", "remotesecure is not allowed"),
    ("SELECT * FROM (SELECT * FROM executable('x.sh', TSV, 'a String'))", "executable is not allowed"),
    ("SELECT * FROM system.one, mysql('a', 'b', 'c', 'd', 'e')", "table function mysql is not allowed"),
    ("SELECT * FROM Python(x)", "table function python is not allowed"),
    ("SELECT * FROM dictionary('x')", "table function dictionary is not allowed"),
    ("SELECT * FROM merge('system', '.*')", "table function merge is not allowed"),
    ("SELECT * FROM cluster('default', system.one)", "table function cluster is not allowed"),
    ("SELECT * FROM input('a Int8')", "table function input is not allowed"),
    ("DESCRIBE file('DIR/secret')", "table function file is not allowed"),
    ("DESCRIBE TABLE url('http://127.0.0.1:1/')", "table function url is not allowed"),
    ("DESCRIBE (SELECT * FROM file('DIR/secret'))", "table function file is not allowed"),
    ("SHOW COLUMNS FROM file('DIR/secret')", "of SHOW only"),
    # How the engine works.
    ("SELECT 1 SETTINGS readonly = 0", "SETTINGS cannot be changed"),
    ("SELECT 1 UNION ALL SELECT 2 SETTINGS readonly = 0", "SETTINGS cannot be changed"),
    ("SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 1000000)", "SETTINGS cannot be changed"),
    ("SHOW TABLES SETTINGS readonly = 0", "of SHOW only"),
    ("SELECT 1 FORMAT JSON", "FORMAT cannot be chosen here"),
    ("SHOW PROCESSLIST", "of SHOW only"),
    ("SHOW GRANTS", "of SHOW only"),
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("a,b\n1,2\n")
    return tmp_path


@pytest.mark.parametrize("sql", PASS)
def test_what_reads_passes_and_the_engine_runs_it(store: Store, sql: str) -> None:
    store.query(check(sql))


@pytest.mark.parametrize("sql", PASS)
def test_what_passed_passes_again_unchanged(sql: str) -> None:
    assert check(check(sql)) == check(sql)


@pytest.mark.parametrize("sql", [sql for sql in PASS if "--" not in sql and "#" not in sql and "/*" not in sql])
def test_a_statement_without_comments_reaches_the_engine_as_it_was_asked(sql: str) -> None:
    assert check(sql) == sql.rstrip("; ")


@pytest.mark.parametrize(("sql", "why"), REFUSED)
def test_what_does_more_than_read_is_refused_and_says_why(secret: Path, sql: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        check(sql.replace("DIR", str(secret)))
    assert "\n" not in str(caught.value)
    assert not (secret / "out").exists()


def test_comments_do_not_reach_the_engine() -> None:
    assert check("SELECT /* one */1, -- two\n'-- three' # four").split() == ["SELECT", "1,", "'--", "three'"]


def test_nothing_that_was_asked_is_left_behind(store: Store) -> None:
    """Settings of one question would otherwise bind the next, and inserts with it."""
    for sql in PASS:
        store.query(check(sql))
    store.command("CREATE OR REPLACE TABLE scratch (a UInt8) ENGINE = Memory")
    store.command("DROP TABLE scratch")


@given(st.text(max_size=40))
def test_any_text_passes_or_is_refused(text: str) -> None:
    try:
        passed = check(text)
    except Refused:
        return
    assert check(passed) == passed


QUOTED = ["'@'", "$$@$$", "‘@’"]
PIECES = [*" \n\r;'\"`\\$*(),#“”‘’", "--", "/*", "*/", "$$", "{#", "#}", "x", "1", "SELECT 1", "INTO OUTFILE", *QUOTED]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from(QUOTED), st.text("'-/* ", max_size=5))
def test_however_it_is_hidden_no_file_is_written(engine: Store, pieces: list[str], name: str, end: str) -> None:
    out = Path(mkdtemp()) / "out"
    with suppress(Refused):
        engine.query(check(f"SELECT 1 {''.join(pieces)} INTO OUTFILE {name} {end}".replace("@", str(out))))
    assert not out.exists()
    out.parent.rmdir()
