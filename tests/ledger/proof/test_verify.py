from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.ledger.proof.cases import build, found, verified
from tests.ledger.proof.tampering import Tamperer

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store

MUTATIONS = 60


def test_a_ledger_that_nobody_touched_is_in_order(ledger: Ledger) -> None:
    build(ledger)
    report = verified(ledger)
    assert report.findings == []
    assert (report.batches, report.readings) == (22, 3 * 6 * 4 + 4)
    assert report.excluded == {"future": 1, "physics": 1, "fork": 1, "replay": 1}
    assert report.checkpoints == 2


def test_an_empty_ledger_is_in_order(ledger: Ledger) -> None:
    assert found(ledger) == []


def test_every_mutation_is_found_where_it_is(ledger: Ledger, store: Store) -> None:
    # So little data is not worth the engine's threads.
    store.command("SET max_threads = 1")
    tamperer = Tamperer(ledger, store, Random(5))
    assert found(ledger) == []
    missed = []
    for number in range(MUTATIONS):
        mutation = tamperer.ways[number]() if number < len(tamperer.ways) else tamperer.spoil()
        instead = tamperer.judge(mutation)
        missed += [] if instead is None else [(mutation.kind, mutation.what, instead)]
    assert missed == []
    assert found(ledger) == []
