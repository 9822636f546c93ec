from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Fatal, Retry
from agent.shipping.shipper import BATCHES_PER_STEP, FIRST_WAIT_S, LONGEST_WAIT_S, Shipper
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Sequence


def batch(number: int) -> Sealed:
    body = str(number).encode()
    return Sealed(body, hashlib.sha256(body).digest(), "agent", b"signature")


class Outbox:
    """Batches by seq; `holes` are seqs that thinning took."""

    def __init__(self, count: int, holes: frozenset[int] = frozenset()) -> None:
        self.stored = {seq: batch(seq) for seq in range(count) if seq not in holes}

    def pending(self, after_seq: int, limit: int) -> list[tuple[int, Sealed]]:
        return [(seq, sealed) for seq, sealed in self.stored.items() if seq > after_seq][:limit]

    def forget(self, through_seq: int) -> None:
        self.stored = {seq: sealed for seq, sealed in self.stored.items() if seq > through_seq}


class Broker:
    """Plays a script: how many of what it is sent it takes, or the error it raises; then it takes all."""

    def __init__(self, *script: int | Exception) -> None:
        self.script = list(script)
        self.log: list[bytes] = []

    def send(self, batches: Sequence[Sealed]) -> int:
        act = self.script.pop(0) if self.script else len(batches)
        if isinstance(act, Exception):
            raise act
        taken = min(act, len(batches))
        self.log += [sealed.body for sealed in batches[:taken]]
        return taken

    def close(self) -> None:
        self.script = []


class Rig:
    def __init__(self, outbox: Outbox, broker: Broker, seed: int = 0) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.outbox, self.broker = outbox, broker
        self.shipper = Shipper(outbox, broker, monotonic=lambda: self.now, wait=self.wait, rng=random.Random(seed))

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def test_an_empty_outbox_ships_nothing_and_does_not_wait() -> None:
    rig = Rig(Outbox(0), Broker(Fatal("never called")))
    assert rig.shipper.step() == 0
    assert rig.waits == []


def test_ships_the_oldest_first_and_forgets_what_is_confirmed() -> None:
    rig = Rig(Outbox(BATCHES_PER_STEP + 3), Broker())
    assert rig.shipper.step() == BATCHES_PER_STEP
    assert sorted(rig.outbox.stored) == [BATCHES_PER_STEP, BATCHES_PER_STEP + 1, BATCHES_PER_STEP + 2]
    assert rig.shipper.step() == 3
    assert rig.broker.log == [str(seq).encode() for seq in range(BATCHES_PER_STEP + 3)]


def test_forgets_only_the_confirmed_ones_of_a_chain_with_holes() -> None:
    rig = Rig(Outbox(10, holes=frozenset({1, 2, 5})), Broker(3))
    assert rig.shipper.step() == 3
    assert sorted(rig.outbox.stored) == [6, 7, 8, 9]


def test_a_broker_that_is_away_is_waited_for_ever_longer_but_never_too_long() -> None:
    rig = Rig(Outbox(1), Broker(*[Retry("away")] * 20))
    for _ in range(20):
        assert rig.shipper.step() == 0
    longest = [min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt) for attempt in range(20)]
    assert all(top / 2 <= wait <= top for wait, top in zip(rig.waits, longest, strict=True))
    assert list(rig.outbox.stored) == [0]
    assert rig.shipper.trouble == "away"
    assert rig.shipper.outage_s == pytest.approx(sum(rig.waits[1:]) + rig.waits[0])


def test_nodes_do_not_come_back_in_the_same_instant() -> None:
    waits = set()
    for seed in range(20):
        rig = Rig(Outbox(1), Broker(Retry("away")), seed)
        rig.shipper.step()
        waits.add(rig.waits[0])
    assert len(waits) == 20


def test_a_confirmed_batch_ends_the_outage_and_the_next_wait_is_short_again() -> None:
    rig = Rig(Outbox(2), Broker(Retry("away"), Retry("away"), Retry("away"), 1, Retry("away again")))
    for _ in range(4):
        rig.shipper.step()
    assert rig.shipper.trouble is None
    assert rig.shipper.outage_s == 0
    rig.shipper.step()
    assert rig.waits[-1] <= FIRST_WAIT_S


def test_a_broker_that_takes_nothing_is_waited_for_like_one_that_is_away() -> None:
    rig = Rig(Outbox(1), Broker(0))
    assert rig.shipper.step() == 0
    assert len(rig.waits) == 1


def test_what_cannot_be_put_right_by_waiting_passes_through_and_loses_nothing() -> None:
    rig = Rig(Outbox(3), Broker(Fatal("wrong password")))
    with pytest.raises(Fatal, match="wrong password"):
        rig.shipper.step()
    assert len(rig.outbox.stored) == 3


def test_an_outage_is_logged_once_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(Outbox(1), Broker(Retry("away"), Retry("away"), Retry("no such topic"), 1))
    for _ in range(4):
        rig.shipper.step()
    assert [record.getMessage().split(":")[-1].strip() for record in caplog.records][:2] == ["away", "no such topic"]
    assert len(caplog.records) == 3


@given(st.lists(st.one_of(st.integers(0, 5), st.just(Retry("away"))), max_size=40), st.integers(0, 60))
def test_whatever_the_broker_does_every_batch_arrives_in_order(script: list[int | Exception], count: int) -> None:
    rig = Rig(Outbox(count), Broker(*script))
    while rig.outbox.stored:
        rig.shipper.step()
    assert rig.broker.log == [str(seq).encode() for seq in range(count)]
