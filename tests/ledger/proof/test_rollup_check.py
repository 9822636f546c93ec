from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.rollups import Rollups
from tests.ledger.chains import Chain
from tests.ledger.proof.cases import build, found, record, sealed_by

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store


def test_what_was_computed_ahead_is_in_order_and_may_be_behind(ledger: Ledger, store: Store) -> None:
    build(ledger)
    assert found(ledger) == []
    Rollups(store).refresh()
    assert found(ledger) == []
    record(ledger, sealed_by(Chain(3), 3, 4))
    assert found(ledger) == []


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("run_curve", "flop = flop + 1"),
        ("run_curve", "tokens = tokens + 1"),
        ("run_devices", "flop = flop + 1"),
        ("run_devices", "observed_ns = 0"),
        ("run_devices", "first_at_ns = 1"),
        ("run_incarnations", "flop_high = flop_high + 1"),
        ("run_incarnations", "node = 'elsewhere'"),
    ],
)
def test_a_changed_row_of_it_is_found(ledger: Ledger, store: Store, table: str, change: str) -> None:
    build(ledger)
    Rollups(store).refresh()
    # The first hour, not the last: a run whose end differs may only be behind.
    first = "AND hour = (SELECT min(hour) FROM run_curve)" if table == "run_curve" else ""
    store.command(f"ALTER TABLE {table} UPDATE {change} WHERE run = 'r' {first} SETTINGS mutations_sync = 2")
    assert {finding.table for finding in found(ledger)} == {table}
    ledger.rebuild()
    assert found(ledger) == []


@pytest.mark.parametrize(("column", "value"), [("adds_with", "7"), ("born", "'2026-01-01 00:00:00'")])
def test_a_column_that_the_engine_computes_is_compared_too(
    ledger: Ledger, store: Store, column: str, value: str
) -> None:
    build(ledger)
    store.command(
        f"INSERT INTO meters (run, meter_id, {column}) SETTINGS insert_allow_materialized_columns = 1 "
        f"VALUES ('s', 1, {value})"
    )
    assert any(f"meter 1: {column} is not" in finding.detail for finding in found(ledger))
