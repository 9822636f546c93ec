from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

from collector.errors import Retry
from collector.health import LONGEST_INSERT_S, STUCK_AFTER_S, Health
from collector.main import Collector
from collector.patience import FIRST_WAIT_S, LONGEST_WAIT_S, BackOff, Patience
from tests.collector.rig import Rig
from tests.ledger.chains import Chain, meter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.sources.interface import Message
    from ledger.evidence import Evidence
    from ledger.store import Store
    from tests.ledger.engine import Clock


@pytest.fixture
def rig(store: Store, clock: Clock) -> Rig:
    return Rig(store, clock)


def test_while_the_ledger_is_slow_the_source_is_paused_and_polled_and_goes_on_afterwards(
    rig: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled = threading.Semaphore(0)
    poll, record = rig.source.poll, rig.ledger.record
    handed_out: list[int] = []

    def watch(max_messages: int, timeout_s: float) -> Sequence[Message]:
        found = poll(max_messages, timeout_s)
        handed_out.append(len(found))
        polled.release()
        return found

    def slow(evidence: Sequence[Evidence]) -> None:
        for _ in range(3):
            assert polled.acquire(timeout=30)
        record(evidence)

    monkeypatch.setattr(rig.source, "poll", watch)
    monkeypatch.setattr(rig.ledger, "record", slow)
    health = Health()
    collector = Collector(
        rig.source,
        rig.ledger,
        rig.quarantine,
        rig.told.extend,
        clock,
        health=health,
        patience=Patience(rig.source, health, slow_s=0.01),
    )
    chain = Chain()
    first, second = chain.seal(meter(5)), chain.seal(meter(6))
    rig.send(first)
    monkeypatch.setattr(rig.source, "waits_s", [])
    threading.Timer(0, rig.send, (second,)).start()
    assert collector.step(timeout_s=0) in {1, 2}
    assert handed_out[1:] == [0] * len(handed_out[1:]), "nothing is handed out while it is paused"
    assert len(handed_out) > 2
    monkeypatch.setattr(rig.ledger, "record", record)
    while rig.flop() != {"r": 6}:
        collector.step(timeout_s=0.5)
    assert rig.source.committed == [first.body, second.body]
    collector.close()


def test_a_round_that_failed_stays_in_hand_and_nothing_more_is_taken(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain()
    sealed = [chain.seal(meter(n)) for n in (5, 6)]
    rig.send(sealed[0])
    monkeypatch.setattr(rig.source, "at_commit", Retry("the brokers are away"))
    for _ in range(3):
        with pytest.raises(Retry):
            rig.collector.step(timeout_s=0)
        rig.collector._patience.keep_place()
    rig.send(sealed[1])
    monkeypatch.setattr(rig.source, "at_commit", None)
    assert rig.collector.step(timeout_s=0) == 1
    assert rig.collector.step(timeout_s=0) == 1
    assert rig.source.committed == [item.body for item in sealed]
    assert rig.asked("SELECT count() FROM batches") == [2], "what was recorded is not recorded again"


def test_what_the_ledger_raises_comes_through(rig: Rig) -> None:
    def fail() -> None:
        raise TimeoutError("of the ledger's own")

    with pytest.raises(TimeoutError, match="of the ledger's own"):
        Patience(rig.source, Health(), slow_s=0.01).call(fail)


def test_waits_grow_to_a_limit_and_are_no_two_alike() -> None:
    back_off = BackOff(random.Random(1))
    waits = [back_off.next_s() for _ in range(20)]
    assert FIRST_WAIT_S / 2 <= waits[0] <= FIRST_WAIT_S
    assert all(LONGEST_WAIT_S / 2 <= wait_s <= LONGEST_WAIT_S for wait_s in waits[8:])
    assert len(set(waits)) == 20
    back_off.reset()
    assert back_off.next_s() <= FIRST_WAIT_S


def test_health_tells_slow_from_stuck() -> None:
    now_s = 0.0
    health = Health(lambda: now_s)
    assert (health.stuck(), health.trouble()) == (None, "not connected yet")
    health.well()
    now_s += STUCK_AFTER_S - 1
    assert (health.stuck(), health.trouble()) == (None, None)
    assert health.commit_age_s() == now_s
    now_s += 1
    assert health.stuck() == f"the main loop has not come by for {STUCK_AFTER_S:.0f} s"
    health.beat()
    assert health.stuck() is None
    assert LONGEST_INSERT_S > STUCK_AFTER_S
    assert health.assessment_age_s() is None
    health.assessed(ours=True)
    assert health.assessment_age_s() == 0
    health.assessed(ours=False)
    assert health.assessment_age_s() is None
