from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.reports.amount import ZERO, Amount, of_double, of_integer

DOUBLES = st.floats(min_value=0, max_value=1e30, allow_nan=False)
UNITS = st.sampled_from([1, 10**9, 10**12, 10**15])


@given(st.integers(0, 2**63 - 1), UNITS)
def test_an_integer_is_exact(value: int, unit: int) -> None:
    assert of_integer(value, unit) == Amount(value * unit, value * unit, value * unit)


@given(DOUBLES, UNITS)
def test_a_double_is_its_exact_value_rounded_down_and_an_ulp_on_either_side(value: float, unit: int) -> None:
    amount = of_double(value, unit)
    assert amount.point <= Fraction(value) * unit < amount.point + 1
    assert amount.low <= Fraction(math.nextafter(value, 0)) * unit
    assert amount.high >= Fraction(math.nextafter(value, math.inf)) * unit
    assert 0 <= amount.low <= amount.point <= amount.high


def test_a_double_past_2_to_53_keeps_every_digit() -> None:
    assert of_double(1e16, 10**9).point == 10**25
    assert of_double(0.1, 10**9).point == 100_000_000


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, -5e-324])
def test_what_is_no_amount_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not a finite amount"):
        of_double(value, 1)


def test_a_negative_integer_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        of_integer(-1, 1)


def test_negative_zero_is_zero() -> None:
    assert of_double(-0.0, 10**15).point == 0


@given(st.lists(DOUBLES, min_size=1), UNITS)
@example([2.0, 2.5], 1)  # the lower bound would grow by more than the point
@example([1093859.586774, 1093859.586774284], 10**9)  # the upper bound would grow by less
def test_growths_stay_in_order_and_add_up_to_valid_bounds(values: list[float], unit: int) -> None:
    counted = ZERO
    for value in sorted(values):
        later = of_double(value, unit)
        growth = counted.growth_to(later)
        assert 0 <= growth.low <= growth.point <= growth.high
        counted = counted.plus(growth)
        assert counted.low <= later.low
        assert counted.point == later.point
        assert counted.high >= later.high
