from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.cpu import CLOCK_CEILING_MHZ, flop_per_cycle, upper_bound_flop
from compute.precision import Dtype

X86 = ["sse2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16"]
X86_FLAGS = st.frozensets(st.sampled_from(X86))
FLAGS = X86_FLAGS | st.frozensets(st.sampled_from(["fp", "asimd", "sve"]))


@pytest.mark.parametrize(
    ("flags", "dtype", "rate"),
    [
        ({"avx"}, Dtype.FP32, 8 * 2),
        ({"avx", "fma"}, Dtype.FP32, 8 * 2 * 2),
        ({"avx", "fma"}, Dtype.FP64, 4 * 2 * 2),
        ({"avx", "fma", "avx512f"}, Dtype.FP32, 16 * 2 * 2),
        ({"avx", "fma", "avx512f"}, Dtype.FP64, 8 * 2 * 2),
        ({"avx", "fma", "avx512f", "avx512_bf16"}, Dtype.BF16, 32 * 2 * 2),
        ({"avx", "fma", "avx512f", "avx512_bf16", "amx_bf16"}, Dtype.BF16, 16 * 16 * 32 * 2 // 16),
        ({"asimd"}, Dtype.FP32, 4 * 2 * 4),
    ],
)
def test_rates_are_lanes_times_two_times_ports(flags: set[str], dtype: Dtype, rate: int) -> None:
    assert flop_per_cycle(flags, dtype) == rate


@settings(max_examples=50)
@given(FLAGS, st.sampled_from(Dtype))
def test_no_declared_format_exceeds_what_the_core_can_do_at_all(flags: frozenset[str], dtype: Dtype) -> None:
    assert 0 < flop_per_cycle(flags, dtype) <= flop_per_cycle(flags)


@settings(max_examples=50)
@given(X86_FLAGS, st.sampled_from(X86))
def test_one_more_unit_never_lowers_the_bound(flags: frozenset[str], more: str) -> None:
    known = flags | {"avx"}
    assert flop_per_cycle(known | {more}) >= flop_per_cycle(known)


def test_a_format_without_units_of_its_own_is_bounded_by_the_best_ones() -> None:
    assert flop_per_cycle({"avx", "fma"}, Dtype.FP8) == flop_per_cycle({"avx", "fma"}) == 32


def test_a_core_with_no_known_flag_is_bounded_by_the_widest_known_unit() -> None:
    assert flop_per_cycle(frozenset()) == flop_per_cycle({"something"}, Dtype.FP64) == flop_per_cycle({"amx_bf16"})


@given(st.integers(0, 10**20), st.integers(1, 1_024), st.integers(1, CLOCK_CEILING_MHZ))
def test_the_bound_is_time_times_clock_times_rate_rounded_up(cpu_time_ns: int, per_cycle: int, clock_mhz: int) -> None:
    exact = Fraction(cpu_time_ns, 10**9) * clock_mhz * 10**6 * per_cycle
    assert 0 <= upper_bound_flop(cpu_time_ns, per_cycle, clock_mhz) - exact < 1


def test_one_second_of_one_core() -> None:
    assert upper_bound_flop(10**9, 32, 3_000) == 96 * 10**9
    assert upper_bound_flop(0, 32, 3_000) == 0
