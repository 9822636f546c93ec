from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.sources.interface import Lag
from collector.sources.partitions import Partitions


def handed(*offsets: int, partition: int = 0, appended_ms: int = 1000) -> Partitions:
    partitions = Partitions()
    partitions.give([partition])
    partitions.hand_out(partition, [(offset, appended_ms) for offset in offsets])
    return partitions


def test_what_is_recorded_is_due_until_it_is_committed() -> None:
    partitions = handed(0, 1, 2)
    assert partitions.due() == {}
    partitions.record([(0, 0), (0, 1)])
    assert partitions.due() == {0: 2}
    partitions.commit({0: 2})
    assert partitions.due() == {}


def test_recording_an_earlier_message_again_takes_nothing_back() -> None:
    partitions = handed(0, 1, 2)
    partitions.record([(0, 2)])
    partitions.record([(0, 0)])
    assert partitions.due() == {0: 3}


def test_nothing_is_committed_of_a_partition_that_was_taken_away() -> None:
    partitions = handed(0, 1)
    partitions.take([0])
    partitions.record([(0, 1)])
    assert partitions.due() == {}
    assert partitions.owned() == frozenset()


def test_what_was_handed_out_before_a_partition_went_and_came_back_is_not_ours_to_commit() -> None:
    partitions = handed(0, 1, 2, 3)
    partitions.take([0])
    partitions.give([0])
    partitions.record([(0, 3)])
    assert partitions.due() == {}
    partitions.hand_out(0, [(0, 1000), (1, 1000)])
    partitions.record([(0, 3)])
    assert partitions.due() == {}
    partitions.record([(0, 1)])
    assert partitions.due() == {0: 2}


def test_messages_of_a_partition_that_is_not_ours_are_ignored() -> None:
    partitions = handed(0)
    assert partitions.hand_out(7, [(5, 1000)]) == 0
    assert partitions.owned() == {0}


def test_offsets_that_are_jumped_are_counted() -> None:
    partitions = handed(0, 1)
    assert partitions.hand_out(0, [(5, 1000), (6, 1000)]) == 3
    assert partitions.hand_out(0, [(7, 1000)]) == 0


def test_the_first_message_may_be_expected() -> None:
    partitions = Partitions()
    partitions.give([0])
    assert partitions.untouched(0)
    partitions.expect(0, 10)
    assert partitions.hand_out(0, [(14, 1000)]) == 4
    assert not partitions.untouched(0)


def test_lag_is_unknown_until_something_was_heard_of_every_partition() -> None:
    partitions = handed(0, 1)
    partitions.observe({0: None}, now_ms=2000)
    assert partitions.lag(2000) == Lag(None, 1.0)
    partitions.observe({0: 5}, now_ms=2000)
    assert partitions.lag(2000) == Lag(7, 1.0)
    partitions.give([1])
    assert partitions.lag(2000) == Lag(None, None)


def test_lag_is_as_old_as_the_oldest_that_waits() -> None:
    partitions = handed(0, 1, appended_ms=1000)
    partitions.hand_out(0, [(2, 3000)])
    partitions.observe({0: 0}, now_ms=4000)
    assert partitions.lag(4000) == Lag(3, 3.0)
    partitions.record([(0, 1)])
    assert partitions.lag(4000) == Lag(1, 1.0)
    partitions.record([(0, 2)])
    assert partitions.lag(4000) == Lag(0, 0.0)


def test_what_arrived_after_we_had_caught_up_cannot_have_waited_longer_than_since_then() -> None:
    partitions = handed(0, appended_ms=1000)
    partitions.record([(0, 0)])
    partitions.observe({0: 0}, now_ms=60_000)
    partitions.observe({0: 4}, now_ms=61_000)
    assert partitions.lag(62_000) == Lag(4, 2.0)


def test_without_partitions_there_is_no_lag() -> None:
    assert Partitions().lag(1000) == Lag(0, 0.0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("poll"), st.integers(1, 5)),
            st.tuples(st.just("record"), st.integers(0, 60)),
            st.tuples(st.just("lose"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_no_offset_is_ever_due_before_its_message_is_recorded(actions: list[tuple[str, int]]) -> None:
    partitions = Partitions()
    partitions.give([0])
    committed, position, recorded = 0, 0, -1
    out: list[int] = []
    for action, number in actions:
        if action == "poll":
            fresh = list(range(position, position + number))
            partitions.hand_out(0, [(offset, 0) for offset in fresh])
            out += fresh
            position += number
        elif action == "record" and out:
            done, out = out[: number + 1], out[number + 1 :]
            recorded = max(recorded, *done)
            partitions.record((0, offset) for offset in done)
        elif action == "lose":
            partitions.take([0])
            partitions.give([0])
            position = committed
        due = partitions.due().get(0, 0)
        assert due <= recorded + 1
        if due:
            partitions.commit({0: due})
            committed = max(committed, due)
