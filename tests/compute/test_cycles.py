"""FLOP from active cycles, with bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.accelerators import Accelerator, table
from compute.cycles import PPM, Cycles, clock_margin_ppm, executed
from compute.precision import Dtype

H100 = table()["H100 SXM5 80GB"]
A100 = table()["A100 SXM4 40/80GB"]
V100 = table()["V100 SXM2 16/32GB"]
COUNTS = st.integers(0, 10**18)


def test_a_declared_format_gives_a_point_and_the_methods_margin_around_it() -> None:
    done = executed(H100, Cycles(tensor=1_000_000, hmma=1_000_000), Dtype.BF16, 20_000)
    assert done.flop.flop == 4096 * 10**6
    assert (done.flop.low, done.flop.high) == (4096 * 980_000, 4096 * 1_020_000)
    assert done.int_op is None


@pytest.mark.parametrize(
    ("accelerator", "assumed", "slowest", "fastest"),
    [(H100, 4096, 2048, 8192), (A100, 2048, 1024, 2048), (V100,) + (1024,) * 3],
)
def test_an_undeclared_format_spans_what_the_pipe_could_have_done(
    accelerator: Accelerator, assumed: int, slowest: int, fastest: int
) -> None:
    done = executed(accelerator, Cycles(tensor=100), Dtype.UNDECLARED, 0).flop
    assert (done.low, done.flop, done.high) == (100 * slowest, 100 * assumed, 100 * fastest)


@pytest.mark.parametrize(("dtype", "rate"), [(Dtype.TF32, 2048), (Dtype.FP16, 4096), (Dtype.FP8, 8192)])
def test_the_same_cycles_are_other_flop_in_another_format(dtype: Dtype, rate: int) -> None:
    assert executed(H100, Cycles(tensor=7), dtype, 0).flop.flop == 7 * rate


def test_single_precision_reaches_the_matrix_pipe_as_tf32() -> None:
    done = executed(H100, Cycles(tensor=100), Dtype.FP32, 0).flop
    assert (done.low, done.flop, done.high) == (100 * 2048, 100 * 2048, 100 * 4096)
    assert executed(V100, Cycles(tensor=100), Dtype.FP32, 0).flop.flop == 100 * 1024


def test_a_format_that_the_pipe_does_not_have_leaves_the_bounds_wide() -> None:
    declared = executed(A100, Cycles(tensor=100), Dtype.FP8, 0)
    assert declared == executed(A100, Cycles(tensor=100), Dtype.UNDECLARED, 0)


def test_integer_operations_stand_apart() -> None:
    done = executed(H100, Cycles(tensor=100, hmma=60, imma=40), Dtype.BF16, 0)
    assert done.flop.flop == 60 * 4096
    assert done.int_op == 40 * 8192


def test_double_precision_has_its_own_rate_whatever_is_declared() -> None:
    done = executed(H100, Cycles(tensor=100, hmma=70, dmma=20, dfma=10), Dtype.BF16, 0)
    assert done.flop.flop == 70 * 4096 + 30 * 256


def test_two_counters_of_the_same_double_precision_cycles_are_not_added_beyond_the_pipe() -> None:
    done = executed(H100, Cycles(tensor=100, dmma=100, dfma=100), Dtype.BF16, 0)
    assert done.flop.flop == 100 * 256


def test_vector_pipes_raise_the_upper_bound_only() -> None:
    without = executed(H100, Cycles(tensor=100), Dtype.BF16, 20_000).flop
    done = executed(H100, Cycles(tensor=100, fp64=10, fp32=10, fp16=10), Dtype.BF16, 20_000).flop
    assert (done.flop, done.low) == (without.flop, without.low)
    assert done.high == -(-(100 * 4096 + 10 * (128 + 256 + 512)) * 1_020_000 // PPM)


def test_without_tensor_cycles_there_is_nothing_to_estimate() -> None:
    with pytest.raises(ValueError, match="not measured"):
        executed(H100, Cycles(sm=100), Dtype.BF16, 0)


def test_a_margin_past_everything_leaves_nothing_below_and_twice_above() -> None:
    done = executed(H100, Cycles(tensor=100), Dtype.BF16, 2 * PPM).flop
    assert (done.low, done.flop, done.high) == (0, 409_600, 3 * 409_600)


@given(
    cycles=st.builds(Cycles, tensor=COUNTS, hmma=COUNTS, imma=COUNTS, dmma=COUNTS, dfma=COUNTS, fp32=COUNTS),
    dtype=st.sampled_from(Dtype),
    margin_ppm=st.integers(0, PPM),
    name=st.sampled_from(sorted(table())),
)
def test_bounds_are_in_order_for_any_counters_at_all(cycles: Cycles, dtype: Dtype, margin_ppm: int, name: str) -> None:
    """Counters come from hardware that nobody has seen: no combination of them may stop the agent."""
    done = executed(table()[name], cycles, dtype, margin_ppm).flop
    assert done.flop is not None
    assert 0 <= done.low <= done.flop <= done.high


@given(first=st.builds(Cycles, tensor=COUNTS), second=st.builds(Cycles, tensor=COUNTS), dtype=st.sampled_from(Dtype))
def test_points_add_up(first: Cycles, second: Cycles, dtype: Dtype) -> None:
    parts = [executed(H100, part, dtype, 20_000).flop for part in (first, second)]
    whole = executed(H100, Cycles(tensor=(first.tensor or 0) + (second.tensor or 0)), dtype, 20_000).flop
    assert whole.flop == sum(part.flop or 0 for part in parts)
    assert sum(part.low for part in parts) <= whole.low
    assert whole.high <= sum(part.high for part in parts)


def test_a_steady_clock_adds_no_margin_and_a_moving_one_its_reach() -> None:
    assert clock_margin_ppm(None) == 0
    assert clock_margin_ppm((1_755, 1_755, 1_755)) == 0
    assert clock_margin_ppm((900, 1_000, 1_200)) == 200_000
    assert clock_margin_ppm((300, 1_000, 1_200)) == 700_000
    assert clock_margin_ppm((0, 0, 0)) == 0


@given(clocks=st.lists(st.integers(1, 3_000), min_size=3, max_size=3), true_mhz=st.integers(1, 3_000))
def test_any_mean_between_the_extremes_is_within_the_margin(clocks: list[int], true_mhz: int) -> None:
    lowest, mean, highest = sorted(clocks)
    margin_ppm = clock_margin_ppm((lowest, mean, highest))
    if lowest <= true_mhz <= highest:
        assert mean * (PPM - margin_ppm) <= true_mhz * PPM <= mean * (PPM + margin_ppm)
