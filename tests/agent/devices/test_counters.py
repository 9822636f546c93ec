"""What lies between two readings of cumulative counters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.devices.counters import delta
from agent.devices.interface import Delta, Method, Snapshot
from agent.errors import SkipDevice
from compute.cycles import Cycles

BEFORE = Snapshot("gpu", 1_000, "epoch", True, {"sm": 10, "tensor": 5, "busy_ns": 7, "energy_mj": 1, "boottime_ns": 50})
AFTER = Snapshot(
    "gpu", 3_000, "epoch", True, {"sm": 30, "tensor": 6, "busy_ns": 9, "energy_mj": 4, "boottime_ns": 2_050}
)


def test_what_grew_is_what_happened() -> None:
    assert delta(BEFORE, AFTER, Method.GPM_CYCLES) == Delta(
        1_000, 3_000, Method.GPM_CYCLES, 2_000, Cycles(sm=20, tensor=1), busy_ns=2, energy_mj=3
    )


def test_what_one_of_the_two_lacks_is_not_measured() -> None:
    found = delta(BEFORE, replace(AFTER, counters={"sm": 30, "fp64": 4}), Method.GPM)
    assert found is not None
    assert found.cycles == Cycles(sm=20)
    assert found.busy_ns is found.energy_mj is None


def test_without_a_boot_clock_the_wall_clock_says_what_was_observed() -> None:
    plain = [replace(one, counters={"busy_ns": 1}) for one in (BEFORE, AFTER)]
    found = delta(plain[0], plain[1], Method.BUSY)
    assert found is not None
    assert (found.observed_ns, found.busy_ns) == (2_000, 0)
    assert delta(plain[1], plain[0], Method.BUSY) is None


def test_time_that_no_counter_covers_lies_in_the_delta_but_is_not_observed() -> None:
    found = delta(BEFORE, replace(AFTER, at_ns=9_000), Method.GPM_CYCLES)
    assert found is not None
    assert (found.from_ns, found.to_ns, found.observed_ns) == (1_000, 9_000, 2_000)


def test_when_the_wall_clock_went_back_the_observed_time_still_fits_between_the_ends() -> None:
    found = delta(BEFORE, replace(AFTER, at_ns=500), Method.GPM_CYCLES)
    assert found is not None
    assert (found.from_ns, found.to_ns, found.observed_ns) == (-1_500, 500, 2_000)


def test_no_time_no_delta() -> None:
    assert delta(BEFORE, BEFORE, Method.GPM_CYCLES) is None


def test_a_counter_that_goes_back_is_named() -> None:
    back = replace(AFTER, counters={**AFTER.counters, "tensor": 2})
    with pytest.raises(SkipDevice, match="counter tensor went back by 3 within reset epoch epoch"):
        delta(BEFORE, back, Method.GPM_CYCLES)


@pytest.mark.parametrize("other", [replace(AFTER, epoch="next"), replace(AFTER, device="gpu-2")])
def test_no_delta_crosses_an_epoch_or_a_device(other: Snapshot) -> None:
    with pytest.raises(ValueError, match="do not compare"):
        delta(BEFORE, other, Method.GPM_CYCLES)
