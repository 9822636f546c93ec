from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.forecast.history import learn
from ledger.forecast.series import HOUR_NS, hourly


def test_stops_are_no_part_of_the_pace() -> None:
    found = learn([10.0] * 60 + [0.0] * 12 + [10.0] * 40 + [0.0] * 3 + [10.0] * 50)
    assert found is not None
    assert found.pace_flop == pytest.approx(10)
    assert found.stops_hours == (12.0, 3.0)
    assert (found.running_hours, found.silent_hours, found.changes) == (150.0, 0.0, ())
    assert found.flop_per_hour == pytest.approx(10 * 150 / 165)


@pytest.mark.parametrize("after", [0.3, 0.8, 1.25, 4.0])
def test_a_change_of_fleet_size_begins_a_pace_of_its_own(after: float) -> None:
    rng = random.Random(1)
    growth = [10 * (1 if hour < 200 else after) * math.exp(rng.gauss(0, 0.02)) for hour in range(260)]
    found = learn(growth)
    assert found is not None
    assert found.pace_flop == pytest.approx(10 * after, rel=0.05)
    assert sum(found.changes) == pytest.approx(math.log(after), abs=0.1)


def test_a_noisy_run_has_one_pace() -> None:
    rng = random.Random(2)
    found = learn([10 * math.exp(rng.gauss(0, 0.3)) for _ in range(500)])
    assert found is not None
    assert found.changes == ()
    assert found.pace_flop == pytest.approx(10 * math.exp(0.045), rel=0.1)


def test_one_bad_block_is_no_new_pace() -> None:
    found = learn([10.0] * 100 + [4.0] * 6 + [10.0] * 98)
    assert found is not None
    assert found.changes == ()


def test_the_pace_of_a_ramp_up_is_the_latest_one_and_uncertain() -> None:
    steady, ramping = learn([10.0] * 120), learn([1.0 + hour / 12 for hour in range(120)])
    assert steady is not None
    assert ramping is not None
    assert ramping.pace_flop == pytest.approx(10.5, rel=0.15)
    assert ramping.pace_error > steady.pace_error
    assert all(change > 0 for change in ramping.changes)


def test_silence_at_the_end_is_told_apart_from_stops() -> None:
    found = learn([10.0] * 48 + [0.0] * 30)
    assert found is not None
    assert (found.silent_hours, found.stops_hours) == (30.0, ())


@pytest.mark.parametrize("growth", [(), (0.0,), (0.0,) * 100])
def test_what_does_not_grow_has_no_history(growth: tuple[float, ...]) -> None:
    assert learn(growth) is None


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 10**30)), min_size=1, max_size=40), st.integers(0, 3))
def test_spreading_reports_over_hours_keeps_their_sum(reports: list[tuple[int, int]], began: int) -> None:
    steps = [(10 + began + hour, float(flop)) for hour, flop in dict(reports).items()]
    steps.sort()
    last_ns = (steps[-1][0] + 1) * HOUR_NS
    growth, at_ns = hourly(steps, began * HOUR_NS, last_ns, last_ns)
    assert at_ns == last_ns
    assert len(growth) == steps[-1][0] + 1 - began
    assert min(growth) >= 0
    assert sum(growth) == pytest.approx(sum(flop for _, flop in steps))


def test_daily_reports_are_no_bursts_between_stops() -> None:
    steps = [(24 * day, 240.0) for day in range(1, 11)]
    growth, _ = hourly(steps, HOUR_NS, 241 * HOUR_NS, 242 * HOUR_NS)
    assert growth == (10.0,) * 240


def test_who_is_overdue_has_stopped() -> None:
    steps = [(hour, 10.0) for hour in range(48)]
    late, at_ns = hourly(steps, 0, 48 * HOUR_NS, 60 * HOUR_NS)
    assert at_ns == 60 * HOUR_NS
    assert late == (10.0,) * 48 + (0.0,) * 12
    on_time, at_ns = hourly(steps, 0, 48 * HOUR_NS, 49 * HOUR_NS)
    assert at_ns == 48 * HOUR_NS
    assert on_time == (10.0,) * 48
