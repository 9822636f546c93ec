"""What a cluster would be sent, read by the engine's own parser; there was none to run it (docs/operations.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ledger import roles
from ledger.cluster import Cluster, sharded_by
from ledger.migrate import MIGRATIONS_TABLE, migrations, statements
from ledger.place import Server

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.store import Store

CLUSTER = Cluster("fleet", "flop")
SHIPPED = migrations()
PLAIN = [MIGRATIONS_TABLE, *(statement for migration in SHIPPED for statement in migration.statements)]
SHARDED = sharded_by(migration.sql for migration in SHIPPED)


def clustered(statement: str) -> list[str]:
    return statements(statement, SHIPPED, CLUSTER)


def read(store: Store, statement: str) -> str:
    """The statement as the engine understands it; raises `Refused` where it does not."""
    ((text,),) = store.query("SELECT formatQuery({statement:String})", {"statement": statement}).rows
    return str(text)


@pytest.mark.parametrize("plain", PLAIN, ids=lambda sql: " ".join(sql.split()[:3]))
def test_the_engine_reads_every_statement_for_a_cluster(store: Store, plain: str) -> None:
    made = clustered(plain)
    assert made
    for statement in made:
        understood = read(store, statement)
        assert re.match(r"CREATE \w+( VIEW)? IF NOT EXISTS \w+ ON CLUSTER fleet\b", understood), understood
        assert "ENGINE = MergeTree" not in understood
        if understood.startswith("CREATE TABLE"):
            assert re.search(
                r"\nENGINE = (Replicated\w*MergeTree\('/clickhouse/tables/|Distributed\('fleet', )", understood
            )
            assert "\nCOMMENT '" in understood


@pytest.mark.parametrize("plain", PLAIN, ids=lambda sql: " ".join(sql.split()[:3]))
def test_without_a_cluster_a_statement_stays_as_it_is_written(plain: str) -> None:
    assert [s.replace("IF NOT EXISTS ", "") for s in statements(plain, SHIPPED, None)] == [
        plain.replace("IF NOT EXISTS ", "")
    ]


def test_what_is_large_is_spread_so_that_what_is_merged_stays_together() -> None:
    assert SHARDED["batches"] == "cityHash64(agent, chain)"
    assert (SHARDED["meters"], SHARDED["curve"]) == ("meter_id", "meter_id")
    assert {"journal", "journal_requests"}.isdisjoint(SHARDED)


def test_a_sharded_table_keeps_its_part_under_another_name() -> None:
    (plain,) = (s for s in PLAIN if s.startswith("CREATE TABLE meters\n"))
    local, whole = clustered(plain)
    assert local.startswith("CREATE TABLE IF NOT EXISTS meters_local ON CLUSTER fleet\n")
    assert (
        "ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')\n"
        in local
    )
    assert "ENGINE = Distributed('fleet', 'flop', 'meters_local', meter_id)\nCOMMENT 'Derived:" in whole


def test_any_other_table_is_whole_on_every_node() -> None:
    (plain,) = (s for s in PLAIN if s.startswith("CREATE TABLE devices\n"))
    (made,) = clustered(plain)
    engine = "ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}'"
    assert f"{engine}, sealed_at_ns)\n" in made


def test_a_materialised_view_is_fed_and_feeds_where_the_rows_are() -> None:
    plain = "CREATE MATERIALIZED VIEW hourly TO curve AS\nSELECT run FROM meters AS m JOIN journal ON true"
    (made,) = CLUSTER.statements(plain, {"curve": "meter_id", "meters": "meter_id"})
    assert made == (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS hourly ON CLUSTER fleet TO curve_local AS\n"
        "SELECT run FROM meters_local AS m JOIN journal ON true"
    )


@pytest.mark.parametrize(
    "statement", ["DROP TABLE journal", "CREATE TABLE t (n UInt8) ENGINE = Memory", "ALTER TABLE t DELETE WHERE true"]
)
def test_a_statement_without_a_rule_is_an_error_and_not_a_guess(statement: str) -> None:
    with pytest.raises(ValueError, match="cluster"):
        CLUSTER.statements(statement, {})


@pytest.mark.parametrize("cluster", [None, "fleet"])
def test_the_engine_reads_every_statement_that_makes_a_role(store: Store, tmp_path: Path, cluster: str | None) -> None:
    server = Server("https", "host", 8443, "flop", tmp_path / "ledger.key", cluster=cluster)
    made = roles.statements(server)
    assert len(made) == 9
    for statement in made:
        understood = read(store, statement)
        assert understood.startswith(("CREATE SETTINGS PROFILE", "CREATE ROLE", "CREATE QUOTA", "GRANT"))
        assert ("ON CLUSTER fleet" in understood) == (cluster is not None)


def test_an_auditor_reads_a_requester_asks_and_only_a_collector_writes(tmp_path: Path) -> None:
    made = "\n".join(roles.statements(Server("http", "host", 8123, "flop", tmp_path / "ledger.key")))
    assert re.findall(r"GRANT (.*) TO auditor", made) == ["SELECT ON flop.*"]
    assert re.findall(r"GRANT (.*) TO ledger_collector", made) == ["SELECT, INSERT ON flop.*"]
    assert re.findall(r"GRANT (.*) TO ledger_requester", made) == [
        "SELECT ON flop.*",
        "INSERT(id, kind, author, data) ON flop.journal_requests",
    ]
