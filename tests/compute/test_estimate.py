from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.estimate import Estimate

FLOP = st.integers(0, 10**30)


@given(st.lists(FLOP, min_size=3, max_size=3).map(sorted))
def test_bounds_in_order_are_kept_exactly(bounds: list[int]) -> None:
    low, flop, high = bounds
    estimate = Estimate(flop, low, high)
    assert (estimate.low, estimate.flop, estimate.high) == (low, flop, high)
    assert Estimate(None, low, high).flop is None


@given(FLOP, st.none() | FLOP, FLOP)
def test_bounds_are_in_order_or_refused(low: int, flop: int | None, high: int) -> None:
    ordered = low <= high if flop is None else low <= flop <= high
    if ordered:
        Estimate(flop, low, high)
    else:
        with pytest.raises(ValueError, match="bounds out of order"):
            Estimate(flop, low, high)


@pytest.mark.parametrize(("flop", "low", "high"), [(0, -1, 0), (None, -1, 5), (-1, -1, -1)])
def test_nothing_is_computed_backwards(flop: int | None, low: int, high: int) -> None:
    with pytest.raises(ValueError, match="bounds out of order"):
        Estimate(flop, low, high)


@given(FLOP)
def test_an_exact_amount_has_no_interval(flop: int) -> None:
    assert Estimate.exact(flop) == Estimate(flop, flop, flop)


@given(FLOP)
def test_an_upper_bound_alone_is_no_point(high: int) -> None:
    assert Estimate.at_most(high) == Estimate(None, 0, high)
