from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import Refused
from ledger.journal import Statement
from tests.ledger.proof.cases import build, found, verified

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store

DERIVED = {
    "meters": "SELECT * FROM meter_totals ORDER BY run_id, meter_id",
    "curve": "SELECT run, basis, meter_id, hour, max(flop), max(flop_low), max(flop_high), max(tokens) FROM curve "
    "GROUP BY run, basis, meter_id, hour ORDER BY run, basis, meter_id, hour",
    "devices": "SELECT * FROM devices FINAL ORDER BY device",
    "totals": "SELECT * FROM run_totals ORDER BY run_id, basis",
}


def derived(ledger: Ledger) -> dict[str, Any]:
    return {name: ledger.query(sql).rows for name, sql in DERIVED.items()}


def test_what_is_rebuilt_equals_what_was_recorded(ledger: Ledger) -> None:
    build(ledger)
    before = derived(ledger)
    done = ledger.rebuild()
    assert derived(ledger) == before
    assert (done.batches, done.readings, done.revoked) == (18, 3 * 6 * 4, 0)
    assert found(ledger) == []


def test_tables_that_somebody_spoilt_are_made_right(ledger: Ledger, store: Store) -> None:
    build(ledger)
    before = derived(ledger)
    for table in ("meters", "curve", "devices"):
        store.command(f"TRUNCATE TABLE {table}")
    store.command("INSERT INTO curve (run, meter_id, flop_high) VALUES ('nobody', 1, 5)")
    assert found(ledger) != []
    ledger.rebuild()
    assert derived(ledger) == before
    assert found(ledger) == []


def test_what_is_recorded_afterwards_goes_into_the_new_tables(ledger: Ledger) -> None:
    build(ledger, agents=1)
    ledger.rebuild()
    build(ledger, agents=2)
    assert found(ledger) == []


def test_no_table_is_left_behind(ledger: Ledger, store: Store) -> None:
    build(ledger, agents=1)
    ledger.rebuild()
    assert store.query("SELECT name FROM system.tables WHERE startsWith(name, 'rebuilt_')").rows == []


def test_broken_evidence_is_refused_and_nothing_is_changed(ledger: Ledger, store: Store) -> None:
    build(ledger, agents=1)
    before = derived(ledger)
    store.command("ALTER TABLE batches UPDATE body = concat(body, ' ') WHERE seq = 2 SETTINGS mutations_sync = 2")
    with pytest.raises(Refused, match=r"batch 2 of .* does not fit the bytes.*nothing was changed"):
        ledger.rebuild()
    assert derived(ledger) == before


def test_what_a_revoked_key_sealed_is_taken_out_and_kept_as_evidence(ledger: Ledger) -> None:
    chains = build(ledger, agents=2)
    data = {"agent": chains[1].agent, "from": "2026-11-23T11:30:00Z", "reason": "stolen"}
    ledger.append([Statement("revocation", "me", data)])
    counted = verified(ledger)
    assert {finding.kind for finding in counted.findings} == {"revoked key"}
    done = ledger.rebuild()
    assert done.revoked > 0
    assert done.batches + done.revoked == 12
    after = verified(ledger)
    assert after.findings == []
    assert after.batches == counted.batches
    assert after.excluded["revoked"] == done.revoked
