"""The truth against sums done by hand."""

from __future__ import annotations

from agent.devices.simulated.scenario import FailureKind
from agent.devices.simulated.seeded import jitter_level
from agent.devices.simulated.truth import truth
from compute.precision import Dtype
from tests.agent.devices.simulated.fleets import failure, run, scenario

SECONDS = 8 * 3_600
STEADY = run(jitter_ppm=0, activity_ppm=500_000, clock_mhz=1_000)
CYCLES = 132 * 10**9 // 2


def test_every_device_adds_its_cycles_times_flop_per_cycle() -> None:
    assert truth(scenario(STEADY)) == {"a": 2 * SECONDS * CYCLES * 4_096}


def test_the_format_decides_what_a_cycle_does() -> None:
    def flop(dtype: Dtype) -> int:
        return truth(scenario(run(dtype=dtype)))["a"]

    assert flop(Dtype.FP8) == 2 * flop(Dtype.BF16) == 4 * flop(Dtype.TF32) == 32 * flop(Dtype.FP64)
    assert flop(Dtype.UNDECLARED) == flop(Dtype.BF16)


def test_time_lost_is_lost_on_the_devices_concerned_and_on_no_other() -> None:
    def seconds(kind: FailureKind, **where: int) -> int:
        return truth(scenario(STEADY, failures=(failure(kind, 3, **where),)))["a"] // (CYCLES * 4_096)

    whole = 2 * SECONDS
    assert seconds(FailureKind.INTERRUPTION) == seconds(FailureKind.NODE_LOST) == whole - 2 * 3_600
    assert seconds(FailureKind.RESET, node=0, gpu=1) == seconds(FailureKind.DEVICE_LOST, node=0, gpu=0) == whole - 3_600
    assert seconds(FailureKind.AGENT_RESTART) == seconds(FailureKind.CLOCK_BACK) == whole


def test_a_spare_loses_no_time() -> None:
    lost = scenario(STEADY, spares=1, failures=(failure(FailureKind.NODE_LOST, 3),))
    assert truth(lost) == truth(scenario(STEADY))


def test_parts_of_cycles_are_dropped_at_the_end_of_every_process() -> None:
    # 1 MHz on 132 SMs is 132 cycles in 1,000 ns; 9 ns of it at one half are 0.594 cycles, 10 lives of that are none.
    slow = run(jitter_ppm=0, activity_ppm=500_000, clock_mhz=1, from_ns=0, until_ns=9)
    assert truth(scenario(slow)) == {"a": 0}
    longer = run(jitter_ppm=0, activity_ppm=500_000, clock_mhz=1, from_ns=0, until_ns=16)
    assert truth(scenario(longer)) == {"a": 2 * 4_096}


def test_a_device_that_jitters_differs_by_its_level() -> None:
    one = scenario(run(jitter_ppm=32_000, activity_ppm=500_000, clock_mhz=1_000), gpus_per_node=1)
    level = jitter_level(one.seed, 0, 0)
    assert level != 0
    assert truth(one)["a"] == SECONDS * CYCLES * (1_000 + level) // 1_000 * 4_096
