from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ledger.errors import Damaged
from ledger.migrate import Migration, migrate, migrations
from ledger.rollups import AHEAD

if TYPE_CHECKING:
    from ledger.store import Store

SHIPPED = migrations()
COMPUTED_AHEAD = set(AHEAD)
STATEMENTS = [(place, n) for place, m in enumerate(SHIPPED, 1) for n in range(len(m.statements))]


@pytest.fixture
def bare(engine: Store) -> Store:
    """An engine in which no migration has ever run."""
    for name, kind in engine.query("SELECT name, engine FROM system.tables WHERE database = currentDatabase()").rows:
        engine.command(f"DROP {'VIEW' if kind == 'View' else 'TABLE'} {name} SYNC")
    return engine


def tables(store: Store) -> dict[str, str]:
    rows = store.query("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()").rows
    return {name: re.sub(r" UUID '[^']*'", "", text) for name, text in rows}


def recorded(store: Store) -> list[tuple[int, str]]:
    rows = store.query("SELECT number, sha256 FROM migrations ORDER BY number").rows
    return [(number, sha256) for number, sha256 in rows]


def test_each_migration_is_applied_once_in_order_and_put_on_record(bare: Store) -> None:
    assert migrate(bare) == SHIPPED
    assert recorded(bare) == [(m.number, m.sha256) for m in SHIPPED]
    assert migrate(bare) == []
    assert recorded(bare) == [(m.number, m.sha256) for m in SHIPPED]


def test_migrations_are_numbered_from_one_without_a_gap() -> None:
    assert [m.number for m in SHIPPED] == list(range(1, len(SHIPPED) + 1))


def test_a_migration_that_comes_later_is_applied_alone(bare: Store) -> None:
    migrate(bare)
    later = Migration(SHIPPED[-1].number + 1, "later", "CREATE TABLE later (n UInt8) ENGINE = MergeTree ORDER BY n;\n")
    assert migrate(bare, [*SHIPPED, later]) == [later]
    assert "later" in tables(bare)


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(bare: Store) -> None:
    migrate(bare)
    changed = [replace(SHIPPED[0], sql=SHIPPED[0].sql + "\n"), *SHIPPED[1:]]
    with pytest.raises(Damaged, match=r"migration 1 \(evidence\) is not the one that this ledger was made with"):
        migrate(bare, changed)


def test_a_ledger_that_a_newer_version_has_used_is_refused(bare: Store) -> None:
    migrate(bare)
    before = tables(bare)
    number = SHIPPED[-1].number
    with pytest.raises(
        Damaged, match=f"migration {number} is unknown here: a newer flopledger wrote this ledger; upgrade"
    ):
        migrate(bare, SHIPPED[:-1])
    assert tables(bare) == before


@pytest.mark.parametrize(("place", "done"), STATEMENTS[:: len(STATEMENTS) // 5])
def test_a_migration_that_died_half_way_is_run_again(bare: Store, place: int, done: int) -> None:
    migrate(bare, SHIPPED[: place - 1])
    for statement in SHIPPED[place - 1].statements[: done + 1]:
        bare.command(statement)
    assert [m.number for m in migrate(bare)] == [m.number for m in SHIPPED[place - 1 :]]
    assert recorded(bare) == [(m.number, m.sha256) for m in SHIPPED]
    assert {"batches", "journal", "meters", "curve", "devices", "run_totals", "readings"} <= tables(bare).keys()


def test_every_table_is_on_disk_when_an_insert_returns(bare: Store) -> None:
    migrate(bare)
    kept = {name: text for name, text in tables(bare).items() if not text.startswith("CREATE VIEW")}
    assert kept.keys() == {
        *("migrations", "batches", "journal", "journal_requests", "evidence_log"),
        *("meters", "curve", "devices", *COMPUTED_AHEAD),
        *("outlook", "deliveries"),
    }
    for name, text in kept.items():
        for setting in ("fsync_after_insert = 1", "fsync_part_directory = 1"):
            assert setting in text, name


def test_every_table_and_view_says_what_it_is(bare: Store) -> None:
    migrate(bare)
    rows = bare.query("SELECT name, comment FROM system.tables WHERE database = currentDatabase()").rows
    assert [name for name, comment in rows if not comment] == []


def test_a_semicolon_inside_a_line_ends_no_statement() -> None:
    text = "-- a comment; with one\nSELECT ';' AS a;\n\nSELECT 2;\n"
    assert Migration(1, "x", text).statements == ["SELECT ';' AS a", "SELECT 2"]
