from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.devices.interface import Device, Method
from agent.pricing import MARGIN_PPM, price
from compute.accelerators import table
from compute.cycles import Cycles
from compute.precision import Dtype

SECOND_NS = 10**9
H100 = Device("GPU-1", "gpu", "NVIDIA H100", "H100 SXM5 80GB", 132, 1_980, flop_per_s_max=3 * 10**15)
UNKNOWN = Device("GPU-2", "gpu", "a GPU of tomorrow", None, None, None)
CPU = Device("cpu-1", "cpu", "a processor", None, 3, 3_000, flop_per_s_max=10**12)

TIMES = st.integers(0, 10**18)
ROWS = st.sampled_from(sorted(table()))
TENSOR_METHODS = st.sampled_from(sorted(MARGIN_PPM))
CLOCKS = st.none() | st.tuples(*[st.integers(0, 3_000)] * 3).map(lambda mhz: (min(mhz), sorted(mhz)[1], max(mhz)))


def test_cycles_in_a_known_format_are_a_point_with_the_margin_of_the_method() -> None:
    done = price(H100, Method.GPM_CYCLES, Cycles(tensor=10**9), None, SECOND_NS, Dtype.BF16)
    assert done.flop.flop == 10**9 * 4_096
    assert done.flop.low == 10**9 * 4_096 * 98 // 100
    assert done.flop.high == 10**9 * 4_096 * 102 // 100
    assert done.int_op is None


@given(ROWS, TENSOR_METHODS, st.integers(0, 10**20), st.sampled_from(Dtype), CLOCKS)
def test_cycles_always_give_a_point_between_its_bounds(
    row: str, method: Method, tensor: int, dtype: Dtype, clock_mhz: tuple[int, int, int] | None
) -> None:
    device = replace(H100, accelerator=row)
    flop = price(device, method, Cycles(tensor=tensor), None, SECOND_NS, dtype, clock_mhz).flop
    assert flop.flop is not None
    assert flop.low <= flop.flop <= flop.high
    assert flop.flop in {tensor * rate for rate in table()[row].tensor.values()}


@given(TENSOR_METHODS, st.integers(1, 10**15), CLOCKS)
def test_a_clock_that_moved_widens_the_bounds_and_moves_no_point(
    method: Method, tensor: int, clock_mhz: tuple[int, int, int] | None
) -> None:
    steady = price(H100, method, Cycles(tensor=tensor), None, SECOND_NS, Dtype.BF16).flop
    moved = price(H100, method, Cycles(tensor=tensor), None, SECOND_NS, Dtype.BF16, clock_mhz).flop
    assert moved.flop == steady.flop
    assert moved.low <= steady.low
    assert moved.high >= steady.high


@pytest.mark.parametrize("method", [Method.BUSY, Method.UNOBSERVED, Method.CPU_TIME])
@given(st.integers(0, 10**15), TIMES)
def test_methods_that_count_no_cycles_never_give_a_point(method: Method, tensor: int, time_ns: int) -> None:
    for device in (H100, UNKNOWN, CPU):
        flop = price(device, method, Cycles(tensor=tensor), time_ns, time_ns, Dtype.BF16).flop
        assert flop.flop is None
        assert flop.low == 0


@given(st.sampled_from([Method.GPM_CYCLES, Method.GPM, Method.DCGM]), TIMES, TIMES)
def test_a_cycle_method_without_tensor_cycles_is_bounded_by_all_of_the_time(
    method: Method, busy_ns: int, time_ns: int
) -> None:
    flop = price(H100, method, Cycles(sm=5), busy_ns, time_ns, Dtype.BF16).flop
    assert (flop.flop, flop.low) == (None, 0)
    assert 0 <= flop.high - Fraction(time_ns * 3 * 10**15, SECOND_NS) < 1


@given(TIMES, TIMES)
def test_busy_time_bounds_what_was_done_in_it(busy_ns: int, time_ns: int) -> None:
    flop = price(H100, Method.BUSY, Cycles(), busy_ns, time_ns, Dtype.BF16).flop
    assert 0 <= flop.high - Fraction(busy_ns * 3 * 10**15, SECOND_NS) < 1


@pytest.mark.parametrize("method", [Method.BUSY, Method.CPU_TIME])
@pytest.mark.parametrize("device", [H100, CPU])
def test_busy_time_that_is_not_known_is_not_taken_for_none(method: Method, device: Device) -> None:
    flop = price(device, method, Cycles(), None, 2 * SECOND_NS, Dtype.BF16).flop
    assert flop.high == 2 * (device.flop_per_s_max or 0)


@given(TIMES, TIMES)
def test_cpu_time_is_bounded_by_the_peak_of_one_core(busy_ns: int, time_ns: int) -> None:
    high = price(CPU, Method.CPU_TIME, Cycles(), busy_ns, time_ns, Dtype.FP32).flop.high
    exact = Fraction(busy_ns * 10**12, 3 * SECOND_NS)
    # The peak of one core is itself rounded up, to one FLOP per second.
    assert 0 <= high - exact <= Fraction(busy_ns, SECOND_NS) + 1


@given(TIMES)
def test_time_that_nobody_observed_is_bounded_by_all_that_the_silicon_can_do(gap_ns: int) -> None:
    flop = price(H100, Method.UNOBSERVED, Cycles(), None, gap_ns, Dtype.BF16).flop
    assert 0 <= flop.high - Fraction(gap_ns * 3 * 10**15, SECOND_NS) < 1


@pytest.mark.parametrize("method", [Method.GPM_CYCLES, Method.BUSY, Method.UNOBSERVED])
def test_a_device_that_nobody_knows_is_bounded_by_the_fastest_one_that_somebody_does(method: Method) -> None:
    flop = price(UNKNOWN, method, Cycles(tensor=5), SECOND_NS, SECOND_NS, Dtype.BF16).flop
    fastest = max(row.flop_per_s_max for row in table().values())
    assert (flop.flop, flop.low, flop.high) == (None, 0, fastest)


def test_bounds_are_as_wide_as_the_clock_moved() -> None:
    done = 10**6 * 4_096
    flop = price(H100, Method.GPM, Cycles(tensor=10**6), None, SECOND_NS, Dtype.BF16, (900, 1_000, 1_050)).flop
    assert (flop.low, flop.flop, flop.high) == (done * 87 // 100, done, done * 113 // 100)
    flop = price(H100, Method.GPM, Cycles(tensor=10**6), None, SECOND_NS, Dtype.BF16, (300, 500, 2_000)).flop
    assert (flop.low, flop.flop, flop.high) == (0, done, done * 403 // 100)


def test_integer_operations_stand_apart() -> None:
    done = price(H100, Method.GPM_CYCLES, Cycles(tensor=10, imma=4), None, SECOND_NS, Dtype.BF16)
    assert (done.flop.flop, done.int_op) == (6 * 4_096, 4 * 8_192)
