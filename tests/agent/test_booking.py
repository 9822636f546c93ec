from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.attribution.interface import RunIdentity
from agent.attribution.share import Share
from agent.booking import book_delta, book_gap, book_report
from agent.counters import Counters
from agent.devices.interface import Delta, Device, Method, ProcessKey, ProcessUse, Snapshot
from agent.reports.book import Reported
from agent.reports.source import ReportKey
from compute.accelerators import table
from compute.cycles import Cycles, executed
from compute.precision import Dtype
from wire.batch import COUNTER_COLUMNS, Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

H100 = table()["H100 SXM5 80GB"]
GPU = Device("GPU-1", "gpu", "NVIDIA H100", H100.name, 132, 1_980, flop_per_s_max=H100.flop_per_s_max)
CPU = Device("cpu-1", "cpu", "a processor", None, 2, 3_000, flop_per_s_max=10**12 + 1)
STRANGER = replace(GPU, accelerator=None, flop_per_s_max=None)
RUNS = [RunIdentity(name, dtype=Dtype.BF16) for name in "abcd"]
PIPES = tuple(field.name for field in fields(Cycles))
COLUMN = {pipe: f"{pipe}_cycles" for pipe in PIPES} | {"integer": "int_cycles"}

AMOUNT = st.integers(0, 10**18)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=5).filter(any)
CYCLES = st.builds(Cycles, **{pipe: st.none() | AMOUNT for pipe in PIPES})
METHODS = st.sampled_from([Method.GPM_CYCLES, Method.GPM, Method.DCGM, Method.BUSY])


def split_by(weights: Sequence[int]) -> list[Share]:
    """Runs a, b, … and, of the last weight, nobody."""
    runs = [*RUNS[: len(weights) - 1], None]
    return [Share(run, "split", weight) for run, weight in zip(runs, weights, strict=True)]


def booked(device: Device, delta: Delta, weights: Sequence[int]) -> list[Reading]:
    counters = Counters()
    book_delta(counters, device, delta, split_by(weights), at_ns=5)
    return counters.moved()


def total(readings: list[Reading], column: str) -> int | None:
    values = [value for reading in readings if (value := getattr(reading, column)) is not None]
    return sum(values) if values else None


@st.composite
def deltas(draw: st.DrawFn, method: st.SearchStrategy[Method] = METHODS) -> Delta:
    observed_ns = draw(st.integers(1, 10**15))
    unseen_ns = draw(st.just(0) | st.integers(0, 10**12))
    busy_ns = draw(st.none() | st.integers(0, observed_ns))
    chosen = draw(method)
    cycles = draw(CYCLES) if chosen is not Method.BUSY else Cycles()
    return Delta(0, observed_ns + unseen_ns, chosen, observed_ns, cycles, busy_ns, draw(st.none() | AMOUNT))


@settings(max_examples=60)
@given(deltas(), WEIGHTS, st.sampled_from([GPU, STRANGER]))
def test_the_parts_sum_to_the_device_in_every_column(delta: Delta, weights: list[int], device: Device) -> None:
    readings = booked(device, delta, weights)
    assert total(readings, "observed_ns") == delta.observed_ns
    assert total(readings, "busy_ns") == delta.busy_ns
    assert total(readings, "energy_mj") == delta.energy_mj
    assert (total(readings, "gap_ns") or 0) == delta.to_ns - delta.from_ns - delta.observed_ns
    for pipe in PIPES:
        assert total(readings, COLUMN[pipe]) == getattr(delta.cycles, pipe)


@settings(max_examples=60)
@given(deltas(), WEIGHTS, st.sampled_from([GPU, STRANGER]))
def test_bounds_hold_in_every_reading(delta: Delta, weights: list[int], device: Device) -> None:
    for reading in booked(device, delta, weights):
        assert 0 <= reading.flop_low <= reading.flop_high
        assert reading.flop is None or reading.flop_low <= reading.flop <= reading.flop_high


@given(AMOUNT, WEIGHTS, st.integers(1, 10**15))
def test_the_flop_of_the_parts_sum_to_those_of_the_device(tensor: int, weights: list[int], observed_ns: int) -> None:
    cycles = Cycles(sm=10**18, tensor=tensor, hmma=tensor)
    delta = Delta(0, observed_ns, Method.GPM_CYCLES, observed_ns, cycles)
    counters = Counters()
    shares = [Share(RunIdentity(str(n), dtype=Dtype.BF16), "split", weight) for n, weight in enumerate(weights)]
    book_delta(counters, GPU, delta, shares, at_ns=5)
    readings = counters.moved()
    whole = executed(H100, cycles, Dtype.BF16, 20_000).flop
    assert total(readings, "flop") == whole.flop == tensor * 4_096
    # Each part's bounds are rounded outwards, so together they are no narrower than the device's.
    assert 0 <= whole.low - (total(readings, "flop_low") or 0) < len(weights)
    assert 0 <= (total(readings, "flop_high") or 0) - whole.high < len(weights)


@given(st.integers(1, 10**15), WEIGHTS)
def test_upper_bounds_of_the_parts_hold_the_device(busy_ns: int, weights: list[int]) -> None:
    delta = Delta(0, busy_ns, Method.CPU_TIME, busy_ns, busy_ns=busy_ns)
    readings = booked(CPU, delta, weights)
    assert total(readings, "flop") is None
    assert (total(readings, "flop_high") or 0) * 2 * 10**9 >= busy_ns * 10**12


def test_cycles_of_a_share_too_small_for_a_nanosecond_are_kept() -> None:
    delta = Delta(0, 1, Method.GPM_CYCLES, 1, Cycles(sm=100, tensor=10))
    assert {(r.run, r.tensor_cycles) for r in booked(GPU, delta, [1, 1])} == {("a", 5), ("unattributed", 5)}


def test_what_was_not_measured_stays_unknown() -> None:
    (reading,) = booked(GPU, Delta(0, 9, Method.GPM_CYCLES, 9, Cycles(tensor=0)), [1])
    measured = {name for name in COUNTER_COLUMNS if getattr(reading, name) is not None}
    assert measured == {"flop", "flop_low", "flop_high", "tensor_cycles", "observed_ns"}
    assert reading.flop == 0


def test_a_share_without_a_run_is_unattributed() -> None:
    (reading,) = booked(GPU, Delta(0, 9, Method.GPM_CYCLES, 9, Cycles(tensor=1)), [1])
    assert (reading.run, reading.purpose, reading.basis) == ("unattributed", "unattributed", "hardware")


def test_a_method_without_cycles_gives_bounds_and_no_point() -> None:
    (reading,) = booked(GPU, Delta(0, 10**9, Method.BUSY, 10**9, busy_ns=5 * 10**8), [1])
    assert (reading.flop, reading.flop_low, reading.flop_high) == (None, 0, H100.flop_per_s_max // 2)


def test_cpu_time_gives_bounds_and_no_point() -> None:
    (reading,) = booked(CPU, Delta(0, 10**9, Method.CPU_TIME, 10**9, busy_ns=2 * 10**9), [1])
    assert (reading.flop, reading.flop_low) == (None, 0)
    assert 10**12 + 1 <= reading.flop_high <= 10**12 + 2


def test_a_device_that_nobody_knows_has_an_upper_bound_all_the_same() -> None:
    (reading,) = booked(STRANGER, Delta(0, 10**9, Method.GPM, 10**9, Cycles(tensor=5)), [1])
    assert (reading.flop, reading.flop_low) == (None, 0)
    assert reading.flop_high == max(row.flop_per_s_max for row in table().values())


def test_time_in_a_delta_that_no_counter_covers_is_declared_beside_it() -> None:
    counters = Counters()
    delta = Delta(0, 3 * 10**9, Method.GPM_CYCLES, 10**9, Cycles(tensor=7))
    book_delta(counters, GPU, delta, [Share(RUNS[0], "exact", 1)], at_ns=5)
    seen, unseen = counters.moved()
    assert (seen.method, seen.attribution, seen.observed_ns, seen.gap_ns) == ("gpm-cycles", "exact", 10**9, None)
    assert (unseen.method, unseen.attribution, unseen.observed_ns, unseen.gap_ns) == (
        "unobserved",
        "low",
        None,
        2 * 10**9,
    )
    assert (unseen.run, unseen.flop, unseen.flop_low, unseen.flop_high) == ("a", None, 0, 2 * H100.flop_per_s_max)


def test_a_clock_that_was_set_back_declares_no_gap() -> None:
    readings = booked(GPU, Delta(8, 10, Method.GPM_CYCLES, 10**9, Cycles(tensor=7)), [1])
    assert [(reading.observed_ns, reading.gap_ns) for reading in readings] == [(10**9, None)]


def snapshot(at_ns: int, *pids: int, started: int = 7) -> Snapshot:
    processes = tuple(ProcessUse(ProcessKey(pid, started, "boot")) for pid in pids)
    return Snapshot(GPU.id, at_ns, "epoch", True, {}, processes)


def gap(before: Snapshot, after: Snapshot) -> list[Reading]:
    """What is booked when pids 1 and 2 are of run a, 3 is of run b, and others of none."""
    counters = Counters()
    runs = {1: RUNS[0], 2: RUNS[0], 3: RUNS[1]}
    book_gap(counters, GPU, before, after, lambda process: runs.get(process.pid), at_ns=10**9)
    return counters.moved()


@pytest.mark.parametrize(
    ("before", "after", "run"),
    [
        ((1,), (1,), "a"),
        ((1, 2), (1, 2), "a"),
        ((1, 3), (3,), "b"),
        ((1,), (1, 3), "a"),
        ((1, 3), (1, 3), "unattributed"),
        ((1, 9), (1, 9), "unattributed"),
        ((1,), (2,), "unattributed"),
        ((1,), (), "unattributed"),
        ((), (1,), "unattributed"),
        ((9,), (9,), "unattributed"),
        ((), (), "unattributed"),
    ],
)
def test_a_gap_is_the_runs_only_when_its_process_was_there_before_and_after(
    before: tuple[int, ...], after: tuple[int, ...], run: str
) -> None:
    (reading,) = gap(snapshot(0, *before), snapshot(2 * 10**9, *after))
    assert (reading.run, reading.gap_ns, reading.observed_ns) == (run, 2 * 10**9, None)
    assert (reading.flop, reading.flop_low, reading.flop_high) == (None, 0, 2 * H100.flop_per_s_max)
    assert (reading.method, reading.attribution, reading.busy_ns) == ("unobserved", "low", None)


def test_a_later_process_with_the_same_pid_was_not_there_before() -> None:
    (reading,) = gap(snapshot(0, 1, started=7), snapshot(10**9, 1, started=8))
    assert reading.run == "unattributed"


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_a_gap_is_as_long_as_the_time_between(from_ns: int, to_ns: int) -> None:
    readings = gap(snapshot(from_ns), snapshot(to_ns))
    assert [reading.gap_ns for reading in readings] == ([to_ns - from_ns] if to_ns > from_ns else [])


def test_a_report_is_counted_as_it_was_stated() -> None:
    counters = Counters()
    key = ReportKey("r", "m", "rl", "bf16", "reported-rank", "reporter:p1")
    book_report(counters, Reported(key, 10**25, 10**25 - 1, 10**25 + 1, None, 9), at_ns=4)
    book_report(counters, Reported(key, 5, 5, 5, 3, 1), at_ns=6)
    (reading,) = counters.moved()
    assert reading[:8] == (6, "r", "rl", "reporter:p1", "architecture", "reported-rank", "bf16", "exact")
    assert (reading.flop, reading.flop_low, reading.flop_high) == (10**25 + 5, 10**25 + 4, 10**25 + 6)
    assert (reading.tokens, reading.observed_ns, reading.gap_ns, reading.busy_ns) == (3, 10, None, None)
