"""Batches are judged against what was recorded before them, however they are cut into rounds and whoever does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.trail import Trail
from tests.ledger.chains import NOW_NS, Chain, empty, evidence, meter
from tests.ledger.engine import opened
from wire.batch import DeviceRecord
from wire.opening import open_batch
from wire.plausible import Before, implausible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock
    from wire.seal import Sealed

HOUR_NS = 3_600_000_000_000
RATE = 10**15


class Recorder:
    """Judges and records; `restart` forgets all but the ledger."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._offset = 0
        self.restart()

    def restart(self) -> None:
        self.ledger: Ledger = opened(self._store, self._clock)
        self.trail = Trail(self.ledger)

    def take(self, *sealed: Sealed) -> list[str | None]:
        items = [evidence(item, offset=self._offset + n) for n, item in enumerate(sealed)]
        self._offset += len(items)
        self.ledger.collisions(items)
        judged = self.trail.judged(items)
        self.ledger.record(judged)
        return [item.excluded_reason for item in judged]

    def rows(self, columns: str) -> list[Any]:
        sql = f"SELECT {columns} FROM batches FINAL ORDER BY agent, chain, seq, sha256"
        return [tuple(row) for row in self.ledger.query(sql).rows]


@pytest.fixture
def recorder(store: Store, clock: Clock) -> Recorder:
    return Recorder(store, clock)


def device(rate: int | None, name: str = "GPU-1") -> DeviceRecord:
    return DeviceRecord(name, "gpu", "H100", None, 132, None, None, None, "gpm", rate)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_fork_is_kept_and_the_later_one_is_not_counted(recorder: Recorder, restarts: bool) -> None:
    chain = Chain()
    first, second = chain.seal(meter(1)), chain.seal(meter(2))
    recorder.take(first, second)
    if restarts:
        recorder.restart()
    forked = chain.seal(meter(9), seq=1, prev=first.sha256.hex())
    twin = second.sha256.hex()
    assert recorder.take(forked) == [f"fork: seq 1 of this chain is on record with other content, {twin}"]
    assert recorder.take(chain.seal(meter(3), seq=2, prev=second.sha256.hex())) == [None]
    astray = chain.seal(meter(3), seq=3, prev=forked.sha256.hex())
    (reason,) = recorder.take(astray)
    assert reason is not None
    assert reason.startswith("prev: seq 2 of this chain is on record as ")


def test_both_ends_of_a_fork_in_one_round(recorder: Recorder) -> None:
    chain = Chain()
    first = chain.seal(meter(1))
    one, other = (chain.seal(meter(n), seq=1, prev=first.sha256.hex()) for n in (2, 3))
    reasons = recorder.take(first, one, other)
    assert reasons[:2] == [None, None]
    assert reasons[2] is not None
    assert reasons[2].startswith("fork: seq 1")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("field", ["chain", "incarnation"])
def test_what_another_agent_replays_is_not_counted(recorder: Recorder, field: str, restarts: bool) -> None:
    honest, thief = Chain(0), Chain(1)
    recorder.take(honest.seal(meter(5)))
    if restarts:
        recorder.restart()
    stolen = {"chain": UUID(int=0), "incarnation": honest.incarnation}[field]
    (reason,) = recorder.take(thief.seal(meter(6), **{field: stolen}))
    assert reason == f"replay: {field} is that of agent {honest.agent}"


@pytest.mark.parametrize("restarts", [False, True])
def test_late_batches_of_old_incarnations_count(recorder: Recorder, restarts: bool) -> None:
    chain = Chain()
    old = [chain.seal(meter(n)) for n in (1, 2)]
    chain.restart()
    new = [chain.seal(meter(n)) for n in (1, 2)]
    assert recorder.take(old[0], *new) == [None] * 3
    if restarts:
        recorder.restart()
    assert recorder.take(old[1]) == [None]


def test_a_late_batch_that_its_successor_does_not_follow_is_not_counted(recorder: Recorder) -> None:
    chain = Chain()
    first, _, third = (chain.seal(meter(n)) for n in (1, 2, 3))
    recorder.take(first, third)
    recorder.restart()
    (reason,) = recorder.take(chain.seal(meter(9), seq=1, prev=first.sha256.hex()))
    assert reason is not None
    assert reason.startswith("prev: seq 2 of this chain is on record and follows ")


def test_what_comes_again_is_recorded_as_it_was_the_first_time(recorder: Recorder, clock: Clock) -> None:
    chain = Chain()
    sealed = [chain.seal(meter(n)) for n in range(4)]
    forked = chain.seal(meter(9), seq=2, prev=sealed[1].sha256.hex())
    recorder.take(*sealed, forked)
    before = recorder.rows("seq, received_at, source_offset, excluded_reason")
    clock.now_ns += HOUR_NS
    recorder.restart()
    recorder.take(forked, *sealed)
    assert recorder.rows("seq, received_at, source_offset, excluded_reason") == before
    assert recorder.take(chain.seal(meter(5), seq=4, prev=sealed[3].sha256.hex())) == [None]


@pytest.mark.parametrize("restarts", [False, True])
def test_no_device_does_more_than_it_said_it_could(recorder: Recorder, restarts: bool) -> None:
    chain = Chain()
    second = 10**9
    recorder.take(chain.seal(meter(1), devices=(device(RATE), device(None, "GPU-2"))))
    if restarts:
        recorder.restart()
    most = 2 * RATE * 11
    assert recorder.take(
        chain.seal(meter(most, observed_ns=4 * second, gap_ns=6 * second)),
        chain.seal(meter(most + 1, observed_ns=4 * second, gap_ns=6 * second)),
        chain.seal(meter(10**30, observed_ns=second, device="GPU-2")),
        chain.seal(meter(10**30, observed_ns=second, device="GPU-3")),
        chain.seal(meter(10**30, observed_ns=second, basis="architecture")),
        chain.seal(meter(10**30)),
        chain.seal(meter(1), devices=(device(10**18 + 1),)),
    ) == [
        None,
        f"physics: readings.flop_high of run r on GPU-1 is {most + 1}, more than twice what it can do in 10.0 s at "
        f"{RATE} FLOP/s",
        None,
        None,
        None,
        None,
        "physics: devices[0].flop_per_s_max is more than any device can do",
    ]


def test_another_agents_word_on_a_device_binds_nobody(recorder: Recorder) -> None:
    liar, honest = Chain(0), Chain(1)
    recorder.take(liar.seal(meter(1), devices=(device(1),)), honest.seal(meter(1), devices=(device(RATE),)))
    recorder.restart()
    assert recorder.take(honest.seal(meter(RATE, observed_ns=10**9))) == [None]


def walk(order: Sequence[Sealed]) -> list[str | None]:
    """The judgement by the book: what a verifier does who has all the evidence before him."""
    seen: list[tuple[Any, str]] = []
    reasons: list[str | None] = []
    for sealed in order:
        batch, sha256 = open_batch(sealed), sealed.sha256.hex()
        again = next((n for n, (_, known) in enumerate(seen) if known == sha256), None)
        if again is not None:
            reasons.append(reasons[again])
            seen.append((batch, sha256))
            continue

        def first(match: Any) -> Any:
            return next(((b, s) for b, s in seen if match(b)), (None, None))

        def at(seq: int) -> Any:
            return first(lambda b: (b.agent, b.chain, b.seq) == (batch.agent, batch.chain, seq))  # noqa: B023

        chain, incarnation = batch.chain, batch.incarnation
        follower, _ = at(batch.seq + 1)
        of_chain, _ = first(lambda b: b.chain == chain)  # noqa: B023
        of_incarnation, _ = first(lambda b: b.incarnation == incarnation)  # noqa: B023
        before = Before(
            chain_agent=of_chain and of_chain.agent,
            incarnation_agent=of_incarnation and of_incarnation.agent,
            twin=at(batch.seq)[1],
            predecessor=at(batch.seq - 1)[1],
            named_by_successor=follower and follower.prev,
        )
        reasons.append(implausible(batch, NOW_NS, before, sha256))
        seen.append((batch, sha256))
    return reasons


def stock() -> list[Sealed]:
    """Two agents' chains with a fork, a branch off it, a wrong prev and a thief."""
    one, other = Chain(0), Chain(1)
    honest = [one.seal(meter(n)) for n in range(4)]
    forked = one.seal(meter(9), seq=2, prev=honest[1].sha256.hex())
    branch = one.seal(meter(9), seq=3, prev=forked.sha256.hex())
    theirs = [other.seal(meter(n)) for n in range(2)]
    wrong = other.seal(meter(5), seq=2, prev="ab" * 32)
    thief = other.seal(meter(5), chain=UUID(int=0), seq=1, prev="ab" * 32)
    return [*honest, forked, branch, *theirs, wrong, thief]


STOCK = stock()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sampled_from(range(len(STOCK))), min_size=1, max_size=6), max_size=5), st.data())
def test_the_judgement_follows_from_the_order_alone(
    store: Store, clock: Clock, rounds: list[list[int]], data: st.DataObject
) -> None:
    empty(store)
    recorder = Recorder(store, clock)
    found: list[str | None] = []
    for numbers in rounds:
        if data.draw(st.booleans(), "restart"):
            recorder.restart()
        found += recorder.take(*(STOCK[n] for n in numbers))
    assert found == walk([STOCK[n] for numbers in rounds for n in numbers])
