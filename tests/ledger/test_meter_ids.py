from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ledger.meter_ids
from ledger.errors import Retry
from ledger.meter_ids import MeterIds, fingerprint
from ledger.totals import run_totals
from tests.ledger.chains import Chain, evidence, meter, take
from tests.ledger.engine import opened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ledger.ledger import Ledger
    from ledger.store import Result, Store
    from tests.ledger.engine import Clock

CLASH = "stands for another meter already"
NAMES = st.tuples(*(st.text(min_size=1, max_size=3),) * 7)


@pytest.fixture
def one_id_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody had found keys whose ids are the same."""
    real = fingerprint
    monkeypatch.setattr(ledger.meter_ids, "fingerprint", lambda life, key: (7, real(life, key)[1]))


def flop(ledger: Ledger) -> dict[str, int | None]:
    return {total.run_id: total.flop for total in run_totals(ledger)}


@given(st.uuids(), NAMES, NAMES)
def test_keys_that_run_together_to_the_same_text_have_different_ids(life: UUID, one: tuple[str, ...], two: Any) -> None:
    assert (fingerprint(life, one) == fingerprint(life, two)) == (one == two)


def test_the_id_of_a_meter_never_changes_between_versions() -> None:
    key = ("run", "purpose", "device", "hardware", "gpm", "bf16", "exact")
    life = UUID(int=1)
    text = life.bytes + b"".join(len(part).to_bytes(4, "little") + part.encode() for part in key)
    raw = hashlib.blake2b(text, digest_size=16).digest()
    assert fingerprint(life, key) == (int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little"))


@pytest.mark.usefixtures("one_id_for_all")
def test_a_second_meter_of_the_same_id_in_a_run_is_found_and_not_counted(ledger: Ledger) -> None:
    reasons = take(ledger, [Chain(0).seal(meter(5)), Chain(1).seal(meter(100))])
    assert reasons[0] is None
    assert CLASH in str(reasons[1])
    assert flop(ledger) == {"r": 5}


@pytest.mark.usefixtures("one_id_for_all")
def test_two_meters_of_the_same_id_in_one_batch_are_found(ledger: Ledger) -> None:
    (reason,) = take(ledger, [Chain().seal(meter(5, device="a"), meter(100, device="b"))])
    assert CLASH in str(reason)
    assert flop(ledger) == {}


@pytest.mark.usefixtures("one_id_for_all")
def test_a_clash_is_found_every_time_that_it_comes(ledger: Ledger) -> None:
    honest, forger = Chain(0), Chain(1)
    take(ledger, [honest.seal(meter(5))])
    for value in (100, 200, 300):
        assert CLASH in str(take(ledger, [forger.seal(meter(value))])[0])
    assert take(ledger, [honest.seal(meter(6))]) == [None]
    assert flop(ledger) == {"r": 6}


@pytest.mark.usefixtures("one_id_for_all")
def test_a_clash_with_what_an_earlier_process_recorded_is_found(ledger: Ledger, store: Store, clock: Clock) -> None:
    take(ledger, [Chain(0).seal(meter(5))])
    assert CLASH in str(take(opened(store, clock), [Chain(1).seal(meter(100))])[0])


@pytest.mark.usefixtures("one_id_for_all")
def test_the_same_id_in_another_run_hides_nothing(ledger: Ledger) -> None:
    assert take(ledger, [Chain(0).seal(meter(5)), Chain(1).seal(meter(100, run="s"))]) == [None, None]
    assert flop(ledger) == {"r": 5, "s": 100}


@pytest.mark.usefixtures("one_id_for_all")
def test_the_same_meter_again_is_no_clash(ledger: Ledger, store: Store, clock: Clock) -> None:
    chain = Chain()
    assert take(ledger, [chain.seal(meter(5)), chain.seal(meter(6))]) == [None, None]
    assert take(opened(store, clock), [chain.seal(meter(7))]) == [None]
    assert flop(ledger) == {"r": 7}


class AwayOnce:
    """An engine that does not answer the first question."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._away = True

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        if self._away:
            self._away = False
            raise Retry("the engine is busy")
        return self._store.query(sql, parameters)


@pytest.mark.usefixtures("one_id_for_all")
def test_a_clash_is_found_though_the_engine_was_away_the_first_time(ledger: Ledger, store: Store) -> None:
    take(ledger, [Chain(0).seal(meter(5))])
    ids = MeterIds(AwayOnce(store))  # type: ignore[arg-type]
    items = [evidence(Chain(1).seal(meter(100)))]
    with pytest.raises(Retry):
        ids.collisions(items)
    assert CLASH in str(ids.collisions(items)[0])


def test_what_is_remembered_is_bounded_and_nothing_depends_on_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.meter_ids.MAX_REMEMBERED", 2)
    chain = Chain()
    for value in range(1, 6):
        assert take(ledger, [chain.seal(*(meter(value, device=f"{n}") for n in range(4)))]) == [None]
    assert flop(ledger) == {"r": 20}
