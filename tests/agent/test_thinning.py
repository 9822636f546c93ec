from __future__ import annotations

import hashlib
import weakref
from itertools import count, pairwise, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import OutboxFull
from agent.outbox import Outbox
from agent.thinning import Thinned, superseded
from tests.wire.batches import KEY, batch, reading
from wire.batch import KEY_COLUMNS, Event, Readings
from wire.opening import open_batch
from wire.seal import Sealed, seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Stored = tuple[int, str, frozenset[str], bool, int]
"""seq, incarnation, runs of the meters, keep, bytes."""

MADE = st.lists(
    st.tuples(st.frozensets(st.sampled_from("abcd"), min_size=1), st.booleans(), st.booleans(), st.integers(1, 100)),
    max_size=15,
)


def meter(run: str) -> list[str]:
    return [run, *"123456"]


def sha256(seq: int) -> bytes:
    return hashlib.sha256(str(seq).encode()).digest()


@st.composite
def stored_batches(draw: st.DrawFn) -> list[Stored]:
    """Any batches of any incarnations, in order of seq, some already gone."""
    stored: list[Stored] = []
    incarnation = 0
    for seq, (runs, restarted, keep, size) in enumerate(draw(MADE)):
        incarnation += restarted
        stored.append((seq, str(incarnation), runs, keep, size))
    gone = draw(st.frozensets(st.integers(0, 15), max_size=4))
    return [one for one in stored if one[0] not in gone]


def rows(stored: Iterable[Stored]) -> list[tuple[int, str, bytes, int, bytes, int]]:
    return [
        (seq, incarnation, orjson.dumps([meter(run) for run in sorted(runs)]), int(keep), sha256(seq), size)
        for seq, incarnation, runs, keep, size in stored
    ]


def latest(stored: Iterable[Stored]) -> dict[tuple[str, str], int]:
    """The batch that holds the latest reading of each meter of each incarnation."""
    return {(incarnation, run): seq for seq, incarnation, runs, _, _ in stored for run in runs}


def gone_in(ranges: Sequence[Thinned]) -> list[int]:
    return [seq for gone in ranges for seq in range(gone.first_seq, gone.last_seq + 1)]


@settings(max_examples=100)
@given(stored_batches(), st.integers(0, 500))
def test_every_meter_of_every_incarnation_keeps_its_latest_reading(stored: list[Stored], wanted: int) -> None:
    ranges, _ = superseded(rows(stored), wanted)
    gone = set(gone_in(ranges))
    assert latest(stored) == latest(one for one in stored if one[0] not in gone)


@settings(max_examples=100)
@given(stored_batches(), st.integers(0, 500))
def test_what_is_kept_for_more_than_its_counters_stays(stored: list[Stored], wanted: int) -> None:
    gone = set(gone_in(superseded(rows(stored), wanted)[0]))
    assert not {seq for seq, _, _, keep, _ in stored if keep} & gone


@settings(max_examples=50)
@given(stored_batches(), st.integers(0, 500))
def test_ranges_name_what_is_gone_and_the_hash_of_the_last(stored: list[Stored], wanted: int) -> None:
    ranges, freed = superseded(rows(stored), wanted)
    gone = gone_in(ranges)
    sizes = {seq: size for seq, _, _, _, size in stored}
    assert gone == sorted(set(gone))
    assert gone_in(ranges) == [seq for seq in sizes if seq in set(gone)]
    assert freed == sum(sizes[seq] for seq in gone)
    assert all(one.last_sha256 == sha256(one.last_seq).hex() for one in ranges)
    assert all(one.last_seq + 1 < other.first_seq for one, other in pairwise(ranges))


@settings(max_examples=50)
@given(stored_batches(), st.integers(0, 500))
def test_no_more_goes_than_is_wanted(stored: list[Stored], wanted: int) -> None:
    ranges, freed = superseded(rows(stored), wanted)
    last = [size for seq, _, _, _, size in stored if seq in gone_in(ranges)][-1:]
    assert freed - sum(last) < max(wanted, 1)


@settings(max_examples=50)
@given(stored_batches())
def test_when_all_is_wanted_only_what_must_stay_stays(stored: list[Stored]) -> None:
    gone = set(gone_in(superseded(rows(stored), 10**9)[0]))
    needed = set(latest(stored).values())
    assert {seq for seq, *_ in stored} - gone == {seq for seq, _, _, keep, _ in stored if keep or seq in needed}


def test_the_oldest_goes_first() -> None:
    stored: list[Stored] = [(seq, "1", frozenset("a"), False, 10) for seq in range(5)]
    assert superseded(rows(stored), 15) == ([Thinned(0, 1, sha256(1).hex())], 20)


def test_a_reading_of_another_incarnation_supersedes_nothing() -> None:
    stored: list[Stored] = [(0, "1", frozenset("a"), False, 10), (1, "2", frozenset("a"), False, 10)]
    assert superseded(rows(stored), 10) == ([], 0)


# The outbox itself, with a bound that some of the batches must pass.

INCARNATION = "0199e2f0-0000-7000-8000-000000000002"


class Sealer:
    """Fills an outbox as the agent does: plans, seals the ranges into the next batch, stores."""

    def __init__(self, max_bytes: int) -> None:
        self.outbox = Outbox(":memory:", max_bytes)
        weakref.finalize(self, self.outbox.close)
        self.count = 0

    def seal(self, runs: Iterable[str], keep: bool = False, incarnation: int = 2) -> Sealed:
        self.count += 1
        readings = [reading(self.count, run=run, tokens=self.count) for run in sorted(runs)]
        life = UUID(INCARNATION[:-1] + str(incarnation))
        outbox = self.outbox
        thinned = outbox.plan_thinning(512 * (len(readings) + 2))
        events = tuple(Event("thinned", self.count, detail=named(gone)) for gone in thinned)
        sealed = seal(
            batch(
                chain=outbox.chain,
                incarnation=life,
                seq=outbox.next_seq,
                prev=outbox.head,
                readings=Readings.from_rows(readings),
                devices=(),
                events=events,
            ),
            KEY,
        )
        meters = [[getattr(one, name) for name in KEY_COLUMNS] for one in readings]
        outbox.store(outbox.next_seq, sealed, meters, str(life), {}, thinned, keep or bool(events))
        return sealed


def named(gone: Thinned) -> dict[str, Any]:
    return {"first_seq": gone.first_seq, "last_seq": gone.last_seq, "sha256": gone.last_sha256}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.frozensets(st.sampled_from("ab"), min_size=1), st.booleans(), st.sampled_from([2, 3])),
        min_size=12,
        max_size=30,
    )
)
def test_a_full_outbox_keeps_every_latest_reading_and_a_chain_that_checks(
    made: list[tuple[frozenset[str], bool, int]],
) -> None:
    sealer = Sealer(max_bytes=8_000)
    wanted: dict[tuple[str, str], int] = {}
    kept: set[int] = set()
    for runs, keep, incarnation in sorted(made, key=itemgetter(2)):
        try:
            opened = open_batch(sealer.seal(runs, keep, incarnation))
        except OutboxFull:
            continue
        kept |= {opened.seq} if keep else set()
        wanted.update({(str(opened.incarnation), run): sealer.count for run in runs})
    pending = [open_batch(sealed) for _, sealed in sealer.outbox.pending(-1, 1_000)]
    found: dict[tuple[str, str], int] = {}
    for one in pending:
        found.update({(str(one.incarnation), row.run): row.tokens or 0 for row in one.readings.rows()})
    assert found == wanted
    assert kept <= {one.seq for one in pending}
    check_chain(sealer.outbox)


def check_chain(outbox: Outbox) -> None:
    """Every batch names the one before by its hash: one that is there, or the last of a range that an event names."""
    head: dict[int, str | None] = {-1: None}
    opened = [(open_batch(sealed), sealed) for _, sealed in outbox.pending(-1, 1_000)]
    head.update({one.seq: sealed.sha256.hex() for one, sealed in opened})
    missing: set[int] = set()
    for one, _ in opened:
        for event in one.events:
            first, last, sha = (event.detail[name] for name in ("first_seq", "last_seq", "sha256"))
            assert isinstance(first, int)
            assert isinstance(last, int)
            assert isinstance(sha, str)
            missing.update(range(first, last + 1))
            head[last] = sha
    assert missing | {one.seq for one, _ in opened} == set(range(outbox.next_seq))
    assert missing.isdisjoint(one.seq for one, _ in opened)
    for one, _ in opened:
        assert one.prev == head[one.seq - 1]


def fill(sealer: Sealer, runs: Iterable[str], keep: bool = False) -> None:
    """Seal one run after the other until there is no room for another."""
    for run in runs:
        sealer.seal([run], keep)
        if sealer.outbox.stored_bytes() + 3 * 512 > 8_000:
            return


def test_thinning_starts_only_when_there_is_no_room() -> None:
    sealer = Sealer(max_bytes=8_000)
    fill(sealer, repeat("a"))
    assert sealer.outbox.stored_batches() == sealer.count
    sealer.seal("a")
    assert sealer.outbox.stored_batches() < sealer.count
    check_chain(sealer.outbox)


def test_a_long_outage_stays_within_the_bound() -> None:
    sealer = Sealer(max_bytes=64_000)
    for n in range(300):
        sealer.seal("ab" if n % 3 else "a")
        assert sealer.outbox.stored_bytes() <= 64_000
    assert sealer.outbox.stored_batches() < 100
    check_chain(sealer.outbox)


def test_when_nothing_may_go_it_is_full_until_somebody_empties_it() -> None:
    sealer = Sealer(max_bytes=8_000)
    fill(sealer, (f"run-{n}" for n in count()))
    full = sealer.outbox.stored_batches()
    assert full > 3
    with pytest.raises(OutboxFull, match="nothing in it may go: sealing waits until the broker is back"):
        sealer.seal(["another"])
    assert sealer.outbox.stored_batches() == full
    sealer.outbox.forget(full // 2)
    sealer.seal(["another"])
    assert sealer.outbox.stored_batches() == full - full // 2


def test_a_batch_that_says_more_than_its_counters_is_never_thinned() -> None:
    sealer = Sealer(max_bytes=8_000)
    fill(sealer, repeat("a"), keep=True)
    with pytest.raises(OutboxFull):
        sealer.seal("a")
    assert [seq for seq, _ in sealer.outbox.pending(-1, 1_000)] == list(range(sealer.outbox.next_seq))
