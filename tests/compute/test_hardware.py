from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.architecture import Attention, from_architecture, recomputed_flop, six_pd, two_pd
from compute.hardware import Fleet, Segment, Utilization, mean_peak_flop_per_s, nlhu

SHARES = st.fractions(0, 1, max_denominator=1_000)
SEGMENTS = st.builds(
    lambda hours, peak, bounds: Segment(hours, Fraction(peak), Utilization(bounds[1], bounds[0], bounds[2]), "s"),
    st.fractions(0, 10**7, max_denominator=100),
    st.integers(0, 10**16),
    st.lists(SHARES, min_size=3, max_size=3).map(sorted),
)


def test_the_figure_of_a_published_run_to_the_last_digit() -> None:
    peak = Fraction(989_400_000_000_000)
    found = nlhu([Segment(Fraction(30_840_000), peak, Utilization.about(Fraction("0.40")), "all")]).estimate
    assert found.flop == 30_840_000 * 3_600 * 9_894 * 10**11 * 4 // 10
    assert (found.low * 10, found.high * 10) == (found.flop * 7, found.flop * 13)


@given(st.lists(SEGMENTS, max_size=6))
def test_a_sum_over_segments_is_exact_and_its_bounds_add(segments: list[Segment]) -> None:
    whole = nlhu(segments).estimate
    parts = [nlhu([segment]).estimate for segment in segments]
    assert abs((whole.flop or 0) - sum(part.flop or 0 for part in parts)) <= len(parts)
    assert 0 <= whole.low - sum(part.low for part in parts) <= len(parts)
    assert 0 <= sum(part.high for part in parts) - whole.high <= len(parts)


@given(
    st.lists(st.tuples(st.integers(1, 10**5), st.integers(1, 10**16)), min_size=1, max_size=5), st.integers(1, 1_000)
)
def test_a_mixed_fleet_does_what_its_parts_do(fleet: list[tuple[int, int]], hours: int) -> None:
    use = Utilization.about(Fraction(2, 5))
    units = sum(count for count, _ in fleet)
    mean = mean_peak_flop_per_s([Fleet("x", Fraction(count), Fraction(peak)) for count, peak in fleet])
    together = nlhu([Segment(Fraction(units * hours), mean, use, "")]).estimate
    apart = nlhu([Segment(Fraction(count * hours), Fraction(peak), use, "") for count, peak in fleet]).estimate
    assert together == apart


def test_a_fleet_without_units_has_no_peak() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        mean_peak_flop_per_s([])


def test_one_segment_without_a_point_leaves_the_sum_without_one() -> None:
    known = Segment(Fraction(1), Fraction(10), Utilization.about(Fraction(1, 2)), "")
    found = nlhu([known, Segment(Fraction(1), Fraction(10), Utilization.unknown(), "")]).estimate
    assert (found.flop, found.low, found.high) == (None, 12_600, 59_400)


@pytest.mark.parametrize(
    "shares", [(None, "0.5", "0.4"), ("0.5", "0.6", "0.7"), ("1", "1", "1.1"), ("0.1", "-0.1", "1")]
)
def test_a_utilisation_has_its_bounds_in_order(shares: tuple[str | None, str, str]) -> None:
    point, low, high = shares
    with pytest.raises(ValueError, match="does not hold"):
        Utilization(None if point is None else Fraction(point), Fraction(low), Fraction(high))


@pytest.mark.parametrize("point", ["-0.1", "1.01"])
def test_a_utilisation_is_a_share(point: str) -> None:
    with pytest.raises(ValueError, match="lies between 0 and 1"):
        Utilization.about(Fraction(point))


def test_bounds_never_pass_the_peak() -> None:
    assert Utilization.about(Fraction(9, 10)).high == 1


def test_attention_widens_the_interval_downwards_by_half_of_it() -> None:
    plain = from_architecture(10**9, 10**9, margin=Fraction(0)).estimate
    more = from_architecture(10**9, 10**9, attention=Attention(10, 1_000, 2_000), margin=Fraction(0)).estimate
    scores = 12 * 10 * 1_000 * 2_000 * 10**9
    assert (plain.flop, plain.low, plain.high) == (6 * 10**18,) * 3
    assert (more.flop, more.low, more.high) == (6 * 10**18 + scores, 6 * 10**18 + scores // 2, 6 * 10**18 + scores)


def test_forward_passes_alone_are_a_third() -> None:
    shape = Attention(10, 1_000, 2_000)
    training = from_architecture(10**9, 10**9, attention=shape).estimate.flop
    forward = from_architecture(10**9, 10**9, attention=shape, forward_only=True).estimate.flop
    assert forward is not None
    assert training == 3 * forward


def test_recomputation_stands_apart_and_is_one_more_forward_pass() -> None:
    assert recomputed_flop(7, 11) == two_pd(7, 11)
    assert recomputed_flop(10, 10, Fraction(11, 10)) == six_pd(10, 10) // 10


def test_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="are not negative"):
        from_architecture(-1, 1)
