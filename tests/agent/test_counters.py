from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.counters import Amounts, Counters, MeterKey, amounts
from compute.cycles import Cycles
from compute.estimate import Estimate
from wire.batch import COUNTER_COLUMNS

A = MeterKey("a", "pre-training", "GPU-1", "hardware", "gpm-cycles", "bf16", "exact")
B = A._replace(run="b")
NOTHING: Amounts = {"flop_low": 0, "flop_high": 0}

KEYS = st.sampled_from([A, B, A._replace(dtype="fp8"), A._replace(device="GPU-2")])
AMOUNTS = st.dictionaries(st.sampled_from(COUNTER_COLUMNS), st.integers(0, 10**30)).map(NOTHING.__or__)
HISTORIES = st.lists(st.tuples(KEYS, AMOUNTS), max_size=20)


@settings(max_examples=40)
@given(HISTORIES)
def test_a_meter_reads_the_sum_of_all_that_was_added_to_it(history: list[tuple[MeterKey, Amounts]]) -> None:
    counters = Counters()
    sums: Counter[tuple[MeterKey, str]] = Counter()
    measured = {(key, column) for key, grown in history for column in grown}
    for at_ns, (key, grown) in enumerate(history):
        counters.add(key, grown, at_ns)
        sums.update({(key, column): more for column, more in grown.items()})
    for reading in counters.moved():
        key = MeterKey(*reading[1:8])
        for column in COUNTER_COLUMNS:
            expected = sums[key, column] if (key, column) in measured else None
            assert getattr(reading, column) == expected
    assert {MeterKey(*reading[1:8]) for reading in counters.moved()} == {key for key, _ in history}


@settings(max_examples=30)
@given(HISTORIES, HISTORIES)
def test_readings_never_go_back_from_batch_to_batch(
    first: list[tuple[MeterKey, Amounts]], second: list[tuple[MeterKey, Amounts]]
) -> None:
    counters = Counters()
    for key, grown in first:
        counters.add(key, grown, 1)
    before = {reading[1:8]: reading for reading in counters.moved()}
    counters.sealed()
    for key, grown in second:
        counters.add(key, grown, 2)
    for reading in counters.moved():
        for old, new in zip(before.get(reading[1:8], reading)[8:], reading[8:], strict=True):
            assert old is None or (new is not None and new >= old)


def test_what_is_not_measured_is_none_until_it_is() -> None:
    counters = Counters()
    counters.add(A, NOTHING, 1)
    (before,) = counters.moved()
    assert before.tokens is before.flop is before.tensor_cycles is None
    counters.add(A, NOTHING | {"tokens": 0}, 2)
    (after,) = counters.moved()
    assert (after.tokens, after.flop) == (0, None)


def test_readings_come_in_order_of_the_time_they_moved_last() -> None:
    counters = Counters()
    counters.add(A, NOTHING, 1)
    counters.add(B, NOTHING, 2)
    counters.add(A, NOTHING, 3)
    assert [(reading.run, reading.at_ns) for reading in counters.moved()] == [("b", 2), ("a", 3)]


def test_only_what_moved_since_the_last_batch_is_read_again() -> None:
    counters = Counters()
    counters.add(A, NOTHING | {"tokens": 2}, 1)
    counters.add(B, NOTHING, 1)
    counters.sealed()
    assert counters.moved() == []
    counters.add(A, NOTHING | {"tokens": 3}, 2)
    assert [(reading.run, reading.tokens) for reading in counters.moved()] == [("a", 5)]


def test_asking_what_moved_seals_nothing() -> None:
    counters = Counters()
    counters.add(A, NOTHING, 1)
    assert counters.moved() == counters.moved() != []


def test_what_was_added_is_not_changed() -> None:
    counters = Counters()
    grown = NOTHING | {"tokens": 1}
    counters.add(A, grown, 1)
    counters.add(A, grown, 1)
    assert grown == {"flop_low": 0, "flop_high": 0, "tokens": 1}


def test_every_pipe_has_its_column() -> None:
    pipes = Cycles(sm=1, tensor=2, hmma=3, imma=4, dmma=5, dfma=6, fp64=7, fp32=8, fp16=9, integer=10)
    named = ("sm", "tensor", "hmma", "imma", "dmma", "dfma", "fp64", "fp32", "fp16", "int")
    assert amounts(Estimate(None, 0, 1), pipes) == {
        "flop_low": 0,
        "flop_high": 1,
        **{f"{name}_cycles": n for n, name in enumerate(named, 1)},
    }


@pytest.mark.parametrize("flop", [None, 5])
def test_an_amount_that_is_none_is_no_amount(flop: int | None) -> None:
    grown = amounts(Estimate(flop, 1, 9), Cycles(), int_op=None, busy_ns=0)
    assert grown == {"flop_low": 1, "flop_high": 9, "busy_ns": 0} | ({} if flop is None else {"flop": flop})
