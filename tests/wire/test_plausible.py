from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.batches import SEALED_AT_NS, batch, reading
from wire.batch import COUNTER_COLUMNS, KEY_COLUMNS, Reading, Readings
from wire.plausible import FUTURE_TOLERANCE_NS, implausible

NOW_NS = SEALED_AT_NS
STEPS = st.lists(st.integers(0, 10**30), min_size=2, max_size=6)
ZEROS = dict.fromkeys(COUNTER_COLUMNS, 0)


def judged(*rows: Reading) -> str | None:
    return implausible(batch(*rows), NOW_NS)


def growing(name: str, *values: int | None) -> list[Reading]:
    """One meter whose counter `name` reads `values`, one second apart."""
    first_ns = NOW_NS - len(values) * 10**9
    return [reading(first_ns + n * 10**9, **{**ZEROS, name: value}) for n, value in enumerate(values)]


def test_what_only_grows_is_plausible() -> None:
    assert implausible(batch(), NOW_NS) is None


def test_a_batch_without_readings_is_plausible() -> None:
    assert implausible(batch(readings=Readings.from_rows([])), NOW_NS) is None


@given(st.sampled_from(COUNTER_COLUMNS), STEPS)
def test_any_counter_may_grow_or_stand_still(name: str, steps: list[int]) -> None:
    assert judged(*growing(name, *accumulate(steps))) is None


@given(st.sampled_from(COUNTER_COLUMNS), STEPS, st.data())
def test_any_counter_that_goes_back_is_named_with_its_row(name: str, steps: list[int], data: st.DataObject) -> None:
    values = list(accumulate(steps, initial=1))
    row = data.draw(st.integers(1, len(values) - 1), "row")
    values[row] = data.draw(st.integers(0, values[row - 1] - 1), "value")
    assert judged(*growing(name, *values[: row + 1])) == f"readings.{name}[{row}]: a counter that goes back"


@given(st.sampled_from(COUNTER_COLUMNS), st.integers(0, 10**30))
def test_a_null_after_a_value_goes_back(name: str, value: int) -> None:
    assert judged(*growing(name, None, value, None)) == f"readings.{name}[2]: a counter that goes back"


@given(st.sampled_from(COUNTER_COLUMNS), st.integers(0, 10**30))
def test_a_value_after_a_null_does_not(name: str, value: int) -> None:
    assert judged(*growing(name, None, None, value, value)) is None


def test_a_counter_is_compared_with_the_last_reading_of_its_own_meter() -> None:
    rows = [reading(NOW_NS, run=run, tokens=tokens) for run, tokens in (("a", 5), ("b", 3), ("a", 6), ("b", 2))]
    assert judged(*rows[:3]) is None
    assert judged(*rows) == "readings.tokens[3]: a counter that goes back"


@pytest.mark.parametrize("name", KEY_COLUMNS)
def test_every_part_of_its_name_makes_another_meter(name: str) -> None:
    other: dict[str, Any] = {name: {"basis": "architecture", "attribution": "low"}.get(name, "other")}
    assert judged(reading(NOW_NS, tokens=5), reading(NOW_NS, tokens=4, **other)) is None


@settings(max_examples=50)
@given(st.lists(st.integers(0, NOW_NS), min_size=2, max_size=5))
def test_times_that_go_back_are_named(times: list[int]) -> None:
    rows = [reading(at_ns, run=str(n)) for n, at_ns in enumerate(times)]
    expected = None if times == sorted(times) else "readings.at_ns: goes back"
    assert judged(*rows) == expected
    assert judged(*sorted(rows)) is None


@pytest.mark.parametrize("ahead_ns", [0, 1, FUTURE_TOLERANCE_NS])
def test_a_clock_may_run_a_little_ahead(ahead_ns: int) -> None:
    assert implausible(batch(), SEALED_AT_NS - ahead_ns) is None


def test_a_time_in_the_future_is_named() -> None:
    ahead_ns = FUTURE_TOLERANCE_NS + 1
    assert implausible(batch(), SEALED_AT_NS - ahead_ns) == "sealed_at: 600 s in the future"
    assert implausible(batch(reading(NOW_NS + ahead_ns)), NOW_NS) == "readings.at_ns: 600 s in the future"
    rows = [reading(NOW_NS), reading(NOW_NS + 3 * ahead_ns, run="s")]
    assert judged(*rows) == "readings.at_ns: 1800 s in the future"


def test_old_batches_are_plausible() -> None:
    assert implausible(batch(), SEALED_AT_NS * 2) is None
