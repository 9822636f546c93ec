"""What holds in any fleet, whatever fails in it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.devices.simulated.scenario import Scenario, Scope
from agent.devices.simulated.timeline import State
from agent.devices.simulated.truth import reported_truth, truth
from tests.agent.devices.simulated.fleets import NOBODY, World, scenarios, watch

if TYPE_CHECKING:
    from agent.devices.interface import Snapshot

FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(scenarios())
def test_an_agent_that_looks_at_the_instants_counts_the_truth_to_the_last_flop(scenario: Scenario) -> None:
    watched = watch(World(scenario))
    assert {name: watched.flop[name] for name in truth(scenario)} == truth(scenario)


@FEW
@given(scenarios())
def test_nobody_works_while_no_run_is_there(scenario: Scenario) -> None:
    assert watch(World(scenario)).cycles[NOBODY] == 0


@FEW
@given(scenarios())
def test_all_deltas_of_a_reset_epoch_sum_to_the_growth_of_its_counters(scenario: Scenario) -> None:
    watched = watch(World(scenario))
    sums: dict[tuple[str, str], Counter[str]] = {}
    for _, after, delta in watched.deltas:
        counted = sums.setdefault((after.device, after.epoch), Counter())
        counted.update(
            tensor=delta.cycles.tensor or 0,
            sm=delta.cycles.sm or 0,
            busy_ns=delta.busy_ns or 0,
            energy_mj=delta.energy_mj or 0,
            boottime_ns=delta.observed_ns,
        )
    for key, counted in sums.items():
        first, last = watched.first_and_last[key]
        assert counted == {name: last.counters[name] - first.counters[name] for name in counted}


@FEW
@given(scenarios(), st.data())
def test_counters_only_grow_within_an_epoch_and_never_beyond_the_hardware(
    scenario: Scenario, data: st.DataObject
) -> None:
    world = World(scenario)
    node = data.draw(st.sampled_from(list(world.fleet.nodes)))
    times = data.draw(st.lists(st.integers(scenario.start_ns, scenario.end_ns + 10**12), min_size=2, max_size=30))
    backend = world.backend(node)
    seen: list[Snapshot] = []
    for world.now_ns in sorted(times):
        gpu = world.fleet.gpus(node)[0]
        if gpu.state(world.now_ns) is State.ON:
            seen.append(backend.snapshot(gpu.device))
    for before, after in pairwise(seen):
        if before.epoch == after.epoch:
            assert all(after.counters[name] >= value for name, value in before.counters.items())
        assert after.counters["tensor"] <= after.counters["sm"]
        assert after.counters["hmma"] + after.counters.get("dmma", 0) == after.counters["tensor"]
        assert after.counters["busy_ns"] <= after.counters["boottime_ns"]


@FEW
@given(scenarios(), st.data())
def test_counters_do_not_depend_on_when_they_were_read_before(scenario: Scenario, data: st.DataObject) -> None:
    at_ns = data.draw(st.integers(scenario.start_ns, scenario.end_ns))
    asked_often, asked_once = World(scenario), World(scenario, now_ns=at_ns)
    watch(asked_often)
    asked_often.now_ns = at_ns
    for node in asked_once.fleet.nodes:
        backend, other = asked_once.backend(node), asked_often.backend(node)
        assert backend.devices() == other.devices()
        for gpu in asked_once.fleet.gpus(node):
            if gpu.state(at_ns) is State.ON:
                assert backend.snapshot(gpu.device) == other.snapshot(gpu.device)


@FEW
@given(scenarios())
def test_what_loops_report_sums_over_their_processes_to_the_reported_truth(scenario: Scenario) -> None:
    world = World(scenario)
    heard: dict[tuple[str, str, str, int], tuple[int, int]] = {}
    for node in world.fleet.nodes:
        for at_ns in world.fleet.instants(node):
            for report in world.fleet.reports(node, at_ns):
                key = (report.run.run_id, report.device, report.process.boot_id, report.process.pid)
                assert heard.get(key, (0, 0)) <= (report.flop, report.tokens)
                heard[key] = (report.flop, report.tokens)
    for run_id, said in reported_truth(scenario).items():
        mine = [counts for key, counts in heard.items() if key[0] == run_id]
        assert (said.flop, said.tokens) == (sum(flop for flop, _ in mine), sum(tokens for _, tokens in mine))
        most = next(run.reporter.tokens_max for run in scenario.runs if run.run_id == run_id and run.reporter)
        assert said.scope is Scope.RANK or most is None or said.tokens <= most


@FEW
@given(scenarios())
def test_no_two_processes_of_a_node_ever_share_a_pid(scenario: Scenario) -> None:
    world = World(scenario)
    for node in world.fleet.nodes:
        processes = [
            gpu.process(position)
            for gpu in world.fleet.gpus(node)
            for position, phase in enumerate(gpu.timeline.phases)
            if phase.run is not None
        ]
        assert len({process.pid for process in processes}) == len(processes)


@FEW
@given(scenarios())
def test_timelines_have_no_hole_and_work_is_done_only_where_the_device_is(scenario: Scenario) -> None:
    for timelines in World(scenario).fleet.timelines:
        for timeline in timelines:
            assert timeline.phases[0].start_ns == scenario.start_ns
            assert all(one.end_ns == other.start_ns for one, other in pairwise(timeline.phases))
            assert all(phase.state is State.ON for phase in timeline.phases if phase.run is not None)
