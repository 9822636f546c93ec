from __future__ import annotations

import pytest

from tests.wire.batches import SEALED_AT_NS, batch, reading
from wire.batch import Reading, Readings
from wire.plausible import FUTURE_TOLERANCE_NS, implausible

NOW_NS = SEALED_AT_NS


def judged(*rows: Reading) -> str | None:
    return implausible(batch(*rows, devices=()), NOW_NS)


def test_a_batch_of_now_is_plausible() -> None:
    assert implausible(batch(), NOW_NS) is None


def test_a_batch_without_readings_is_plausible() -> None:
    assert implausible(batch(readings=Readings.from_rows([])), NOW_NS) is None


@pytest.mark.parametrize("ahead_ns", [0, 1, FUTURE_TOLERANCE_NS])
def test_a_clock_may_run_a_little_ahead(ahead_ns: int) -> None:
    assert implausible(batch(), SEALED_AT_NS - ahead_ns) is None


def test_a_time_in_the_future_is_named() -> None:
    ahead_ns = FUTURE_TOLERANCE_NS + 1
    assert implausible(batch(), SEALED_AT_NS - ahead_ns) == "future: sealed_at is 600 s ahead of ours"
    assert implausible(batch(reading(NOW_NS + ahead_ns)), NOW_NS) == "future: readings.at_ns is 600 s ahead of ours"
    rows = [reading(NOW_NS), reading(NOW_NS + 3 * ahead_ns, run="s")]
    assert judged(*rows) == "future: readings.at_ns is 1800 s ahead of ours"


def test_old_batches_are_plausible() -> None:
    assert implausible(batch(), SEALED_AT_NS * 2) is None
