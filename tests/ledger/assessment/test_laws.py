"""Whatever order, however often, whoever dies in between: each alert stands in the journal once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from ledger.declarations import Declaration
from tests.ledger.assessment.lines import LINE, line, only
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import opened

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock
    from wire.seal import Sealed

RUNS = 4
BATCHES = 10


class Killed(BaseException):
    """The process ends here."""


def world(seed: int) -> tuple[list[Sealed], list[Declaration]]:
    rng = random.Random(seed)
    totals = dict.fromkeys(range(RUNS), 0)
    chain, sealed = Chain(), []
    for _ in range(BATCHES):
        run = rng.randrange(RUNS)
        totals[run] += rng.randrange(LINE // 2)
        high = totals[run] * 5 // 4
        sealed.append(chain.seal(meter(totals[run], totals[run], high, run=f"r{run}", device=f"d{run}")))
    plans = [Declaration(f"r{run}", f"m{run % 2}", planned_flop=rng.randrange(1, LINE * 2)) for run in range(RUNS)]
    return sealed, plans


def begin(ledger: Ledger, seed: int) -> list[Sealed]:
    only(ledger, line("line-a"), line("line-b", LINE * 3 // 2, operator=">="))
    sealed, plans = world(seed)
    ledger.append([plan.statement("me") for plan in plans])
    return sealed


def on_record(store: Store) -> tuple[set[Any], set[Any]]:
    alerts = store.query("SELECT JSONExtractString(body, 'data', 'alert_id') FROM journal WHERE kind = 'alert'").rows
    moments = store.query("SELECT request FROM journal WHERE kind = 'foreseeable'").rows
    ids, requests = [row[0] for row in alerts], [row[0] for row in moments]
    assert len(ids) == len(set(ids))
    assert len(requests) == len(set(requests))
    return set(ids), set(requests)


def at_once(store: Store, ledger: Ledger, seed: int) -> tuple[set[Any], set[Any]]:
    take(ledger, begin(ledger, seed))
    first = ledger.raise_alerts("me")
    assert ledger.raise_alerts("me") == []
    ids, requests = on_record(store)
    assert ids == {alert.alert_id for alert in first}
    return ids, requests


@pytest.mark.parametrize("seed", range(4))
def test_order_repetition_and_deaths_leave_the_same_alerts_once_each(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    from tests.ledger.chains import empty

    expected = at_once(store, opened(store, clock), seed)
    assert expected[0]
    empty(store)
    rng = random.Random(seed)
    ledger = opened(store, clock)
    sealed = begin(ledger, seed)
    insert = store.insert
    dying = False

    def mortal(table: str, *rest: Any, **more: Any) -> None:
        if dying and table in {"journal", "outlook"} and rng.random() < 0.4:
            raise Killed
        insert(table, *rest, **more)
        if dying and rng.random() < 0.4:
            raise Killed

    monkeypatch.setattr(store, "insert", mortal)
    waiting = sealed + rng.sample(sealed, 3)
    deaths = 0
    rng.shuffle(waiting)
    while waiting:
        take(ledger, [waiting.pop() for _ in range(min(rng.randrange(1, 4), len(waiting)))])
        clock.now_ns += rng.randrange(10**9, 40 * 60 * 10**9)
        dying = True
        try:
            ledger.raise_alerts("me")
        except Killed:
            deaths += 1
            dying = False
            ledger = opened(store, clock)
        dying = False
    ledger = opened(store, clock)
    ledger.raise_alerts("me")
    found = on_record(store)
    assert found == expected, deaths
    assert store.query("SELECT count() FROM alerts WHERE state != 'raised'").rows == [(0,)]


def test_a_failure_that_passes_loses_no_alert(ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same process goes on after the ledger was away for a moment."""
    from ledger.errors import Retry

    only(ledger, line())
    chain = Chain()
    take(ledger, [chain.seal(meter(1))])
    ledger.raise_alerts("me")
    insert, failures = store.insert, 3

    def failing(table: str, *rest: Any, **more: Any) -> None:
        nonlocal failures
        if table == "journal" and failures:
            failures -= 1
            raise Retry("away")
        insert(table, *rest, **more)

    monkeypatch.setattr(store, "insert", failing)
    take(ledger, [chain.seal(meter(LINE * 3 // 5))])
    for _ in range(3):
        with pytest.raises(Retry):
            ledger.raise_alerts("me")
    assert {alert.percent for alert in ledger.raise_alerts("me")} == {50}
