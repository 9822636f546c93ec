"""One node as an agent sees it, failure by failure. The run `a` works in hours 1 to 9."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.devices.interface import Capability, Method, Snapshot
from agent.devices.simulated.scenario import FailureKind
from agent.errors import SkipDevice
from compute.precision import Dtype
from tests.agent.devices.simulated.fleets import HOUR_NS, SECOND_NS, START_NS, World, failure, run, scenario


def snapshot(world: World, hours: float, gpu: int = 0, node: int = 0) -> Snapshot:
    world.at_h(hours)
    backend = world.backend(node)
    return backend.snapshot(backend.devices()[gpu])


def pids(world: World, hours: float, node: int = 0) -> list[int]:
    return [use.key.pid for use in snapshot(world, hours, node=node).processes]


def test_a_gpu_says_what_it_is() -> None:
    world = World(scenario())
    first, second = world.backend().devices()
    assert first.id != second.id
    assert (first.accelerator, first.units, first.kind) == ("H100 SXM5 80GB", 132, "gpu")


def test_a_process_is_there_from_its_first_instant_to_its_last() -> None:
    world = World(scenario())
    assert pids(world, 0.99) == []
    assert pids(world, 1) == pids(world, 5) == pids(world, 9) != []
    assert pids(world, 9.01) == []


def test_where_two_runs_meet_both_processes_are_there() -> None:
    world = World(scenario(run("a", until_ns=5 * HOUR_NS), run("b", from_ns=5 * HOUR_NS)))
    assert pids(world, 5) == pids(world, 4) + pids(world, 6)
    assert pids(world, 4) != pids(world, 6)


def test_counters_say_what_the_scenario_says() -> None:
    world = World(scenario(run(jitter_ppm=0, activity_ppm=500_000, clock_mhz=1_000, watts=600)))
    before, after = snapshot(world, 2), snapshot(world, 3)
    delta = world.backend().delta(before, after)
    assert delta is not None
    assert delta.cycles.sm == 132 * 10**9 * 3_600
    assert delta.cycles.tensor == delta.cycles.hmma == delta.cycles.sm // 2
    assert delta.cycles.fp32 is delta.cycles.dmma is None
    assert (delta.busy_ns, delta.observed_ns) == (HOUR_NS, HOUR_NS)
    assert delta.energy_mj == 600 * 1_000 * 3_600
    assert (delta.method, delta.clock_mhz, delta.flags) == (Method.GPM_CYCLES, None, frozenset())


def test_an_idle_gpu_has_no_busy_time_and_no_tensor_cycles() -> None:
    world = World(scenario())
    idle = snapshot(world, 0.5).counters
    assert (idle["tensor"], idle["busy_ns"]) == (0, 0)
    assert idle["sm"] == 132 * 345 * 10**6 * 1_800


def test_a_double_precision_run_works_on_the_double_precision_tensor_pipe() -> None:
    counters = snapshot(World(scenario(run(dtype=Dtype.FP64))), 2).counters
    assert counters["dmma"] == counters["tensor"] > 0
    assert counters["hmma"] == 0


def test_a_vector_share_is_counted_where_the_scenario_has_one() -> None:
    counters = snapshot(World(scenario(run(fp32_ppm=100_000, clock_mhz=1_000, from_ns=0))), 1).counters
    assert counters["fp32"] == counters["sm"] // 10


def test_devices_differ_by_their_jitter_and_by_nothing_else() -> None:
    world = World(scenario(run(jitter_ppm=50_000), gpus_per_node=8))
    of_all = [snapshot(world, 9, gpu).counters for gpu in range(8)]
    tensor = {counters["tensor"] for counters in of_all}
    assert len(tensor) > 1
    assert max(tensor) <= min(tensor) * 1.05 / 0.95
    assert len({counters["sm"] for counters in of_all}) == 1


def test_a_process_names_its_run_in_its_environment_while_it_lives() -> None:
    world = World(scenario(run(dtype=Dtype.FP8)))
    (pid,) = pids(world, 9)
    assert world.backend().environ(pid) == {
        "FLOPLEDGER_RUN_ID": "a",
        "FLOPLEDGER_MODEL_ID": "model",
        "FLOPLEDGER_PURPOSE": "pre-training",
        "FLOPLEDGER_DTYPE": "fp8",
    }
    world.at_h(9.01)
    assert world.backend().environ(pid) == world.backend().environ(1) == world.backend().environ(pid + 1) == {}
    world.at_h(-1)
    assert world.backend().environ(pid) == {}


def test_a_run_that_does_not_declare_its_format_names_none() -> None:
    world = World(scenario(run(dtype=Dtype.UNDECLARED)))
    (pid,) = pids(world, 5)
    assert "FLOPLEDGER_DTYPE" not in world.backend().environ(pid)


def test_an_interruption_ends_all_processes_and_others_start_after_it() -> None:
    world = World(scenario(failures=(failure(FailureKind.INTERRUPTION, 3),)))
    assert pids(world, 3) == pids(world, 2)
    assert pids(world, 3.5) == []
    assert pids(world, 4) == pids(world, 5) != pids(world, 3)
    assert snapshot(world, 2).epoch == snapshot(world, 5).epoch


def test_a_lost_gpu_does_not_answer_and_comes_back_with_a_new_epoch() -> None:
    world = World(scenario(failures=(failure(FailureKind.DEVICE_LOST, 3, node=0, gpu=1),)))
    before = snapshot(world, 3, gpu=1)
    with pytest.raises(SkipDevice, match="fallen off the bus"):
        snapshot(world, 3.5, gpu=1)
    after = snapshot(world, 4, gpu=1)
    assert before.epoch != after.epoch
    assert before.processes
    assert after.counters["tensor"] == after.counters["sm"] == 0
    assert after.counters["boottime_ns"] == 4 * HOUR_NS
    assert snapshot(world, 3.5, gpu=0).epoch == before.epoch


def test_a_reset_starts_counters_and_process_anew_while_the_gpu_answers() -> None:
    world = World(scenario(failures=(failure(FailureKind.RESET, 3, node=0, gpu=0),)))
    before, during, after = (snapshot(world, hours) for hours in (3, 3.5, 4))
    assert before.processes
    assert not during.processes
    assert before.processes != after.processes
    assert before.epoch != during.epoch == after.epoch
    assert during.counters["sm"] == 132 * 345 * 10**6 * 1_800


def test_a_lost_node_has_no_devices_and_comes_back_from_a_fresh_boot() -> None:
    world = World(scenario(failures=(failure(FailureKind.NODE_LOST, 3),)))
    before = snapshot(world, 3)
    backend = world.backend()
    device = backend.devices()[0]
    world.at_h(3.5)
    assert backend.devices() == []
    with pytest.raises(SkipDevice, match="the node is off"):
        backend.snapshot(device)
    after = snapshot(world, 4)
    assert before.epoch != after.epoch
    assert before.processes[0].key.boot_id != after.processes[0].key.boot_id
    assert after.counters["boottime_ns"] == after.processes[0].key.started == 0
    assert after.device == before.device


def test_a_spare_takes_the_place_of_a_lost_node_and_keeps_it() -> None:
    world = World(scenario(spares=1, failures=(failure(FailureKind.NODE_LOST, 3),)))
    assert (pids(world, 3, node=0) != [], pids(world, 2, node=1)) == (True, [])
    assert pids(world, 3, node=1) == pids(world, 9, node=1) != []
    assert pids(world, 5, node=0) == []


def test_a_repaired_node_is_the_next_spare() -> None:
    lost = (failure(FailureKind.NODE_LOST, 3, node=0), failure(FailureKind.NODE_LOST, 6, node=1))
    world = World(scenario(spares=1, failures=lost))
    assert pids(world, 5, node=1) != []
    assert pids(world, 8, node=0) != []
    assert pids(world, 8, node=1) == []


def test_without_a_free_spare_the_place_waits_for_its_node() -> None:
    lost = (failure(FailureKind.NODE_LOST, 3, node=0), failure(FailureKind.NODE_LOST, 2, 8, node=1))
    world = World(scenario(spares=1, failures=lost))
    assert pids(world, 4, node=0) == pids(world, 9, node=0) != []


def test_a_clock_that_jumps_back_leaves_the_observed_time_true() -> None:
    world = World(scenario(failures=(failure(FailureKind.CLOCK_BACK, 3, 2),)))
    before, after = snapshot(world, 2.5), snapshot(world, 3.5)
    assert after.at_ns - before.at_ns == -HOUR_NS
    delta = world.backend().delta(before, after)
    assert delta is not None
    assert delta.observed_ns == HOUR_NS
    assert delta.to_ns - delta.from_ns == HOUR_NS
    assert delta.to_ns == after.at_ns == START_NS + 3 * HOUR_NS // 2


def test_before_the_scenario_the_node_is_off() -> None:
    world = World(scenario())
    backend = world.backend()
    device = backend.devices()[0]
    world.at_h(-1)
    assert backend.devices() == []
    assert world.fleet.reports(0, world.now_ns) == []
    with pytest.raises(SkipDevice, match="until the scenario starts"):
        backend.snapshot(device)


def test_after_the_scenario_the_devices_stand_idle() -> None:
    world = World(scenario(run(until_ns=10 * HOUR_NS)))
    end, later = snapshot(world, 10), snapshot(world, 1_000)
    assert end.counters["tensor"] == later.counters["tensor"] > 0
    assert end.counters["sm"] < later.counters["sm"]


def test_no_delta_where_no_time_passed() -> None:
    world = World(scenario())
    one = snapshot(world, 2)
    assert world.backend().delta(one, snapshot(world, 2)) is None


def test_cycle_counters_outlive_the_agent() -> None:
    world = World(scenario())
    stored = replace(snapshot(world, 2), handle=None)
    assert stored.resumable
    assert world.backend().delta(stored, snapshot(world, 3)) is not None
    assert world.backend().capabilities(world.backend().devices()[0]) == [Capability(Method.GPM_CYCLES, True)]


@pytest.mark.parametrize("method", [Method.GPM, Method.BUSY])
def test_the_weaker_methods_lose_what_happened_while_nobody_held_the_handle(method: Method) -> None:
    world = World(scenario(method=method))
    before, after = snapshot(world, 2), snapshot(world, 3)
    assert not before.resumable
    assert before.counters == {}
    assert world.backend().delta(replace(before, handle=None), after) is None
    ways = world.backend().capabilities(world.backend().devices()[0])
    assert [way.method for way in ways if way.available] == [method]
    assert all(way.reason for way in ways if not way.available)


def test_sampled_clocks_stand_beside_the_cycles_of_gpm() -> None:
    world = World(scenario(method=Method.GPM))
    delta = world.backend().delta(snapshot(world, 0.5), snapshot(world, 2))
    assert delta is not None
    assert delta.cycles.tensor
    assert delta.clock_mhz == (345, (345 + 1_755) // 2, 1_755)
    assert delta.flags == {"clock-sampled"}


def test_busy_time_tells_nothing_of_cycles() -> None:
    world = World(scenario(method=Method.BUSY))
    delta = world.backend().delta(snapshot(world, 0.5), snapshot(world, 2))
    assert delta is not None
    assert delta.cycles.tensor is delta.cycles.sm is None
    assert (delta.busy_ns, delta.observed_ns, delta.clock_mhz) == (HOUR_NS, 3 * HOUR_NS // 2, None)


def test_another_start_of_the_same_fleet_is_another_boot_of_the_same_devices() -> None:
    one, other = World(scenario()), World(scenario(start_ns=START_NS + SECOND_NS))
    other.now_ns += SECOND_NS
    before, after = (world.backend().snapshot(world.backend().devices()[0]) for world in (one, other))
    assert before.device == after.device
    assert before.epoch != after.epoch
