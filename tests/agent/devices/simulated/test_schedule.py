"""When a simulated agent looks and reports, and what training loops have said by then."""

from __future__ import annotations

import pytest

from agent.devices.simulated.fleet import Fleet
from agent.devices.simulated.scenario import FailureKind, Reporter, Scope, Stretch
from agent.devices.simulated.truth import reported_truth
from tests.agent.devices.simulated.fleets import HOUR_NS, START_NS, World, failure, run, scenario

HALF_H = HOUR_NS // 2


def hours(instants: list[int]) -> list[float]:
    return [(at_ns - START_NS) / HOUR_NS for at_ns in instants]


def test_an_agent_looks_at_every_start_and_end_of_a_process_and_at_the_regular_times() -> None:
    between = run(from_ns=HALF_H, until_ns=9 * HOUR_NS + HALF_H)
    fleet = Fleet(scenario(between, sample_every_ns=4 * HOUR_NS, reports=(Stretch(10 * HOUR_NS, 5 * HOUR_NS),)))
    assert hours(list(fleet.instants(0))) == [0, 0.5, 4, 5, 8, 9.5, 10]


def test_reports_come_as_often_as_each_stretch_says_and_at_the_end() -> None:
    stretches = (Stretch(3 * HOUR_NS, HOUR_NS), Stretch(9 * HOUR_NS, 3 * HOUR_NS))
    fleet = Fleet(scenario(reports=stretches))
    assert hours(list(fleet.report_instants(0))) == [1, 2, 3, 6, 9, 10]
    assert set(fleet.report_instants(0)) <= set(fleet.instants(0))


def test_a_dead_agent_does_not_look_and_what_it_saw_last_is_reported() -> None:
    dead = failure(FailureKind.AGENT_RESTART, 3, 4)
    fleet = Fleet(scenario(failures=(dead,), sample_every_ns=4 * HOUR_NS))
    assert [(down.start_ns, down.end_ns) for down in fleet.agent_downs(0)] == [
        (START_NS + 3 * HOUR_NS, START_NS + 7 * HOUR_NS)
    ]
    assert [hour for hour in hours(list(fleet.instants(0))) if 3 <= hour <= 7] == [3, 7]
    assert hours(list(fleet.report_instants(0))) == [2, 3, 8, 10]


def test_a_lost_node_has_no_agent() -> None:
    fleet = Fleet(scenario(nodes=2, failures=(failure(FailureKind.NODE_LOST, 3, 99, node=1),)))
    assert hours(list(fleet.instants(1)))[-1] == 3
    assert fleet.agent_downs(0) == ()


def test_in_real_time_the_last_instant_is_due_until_the_next() -> None:
    fleet = Fleet(scenario())
    assert fleet.due(0, START_NS - 5) == START_NS
    assert fleet.due(0, START_NS + HOUR_NS + 5) == START_NS + HOUR_NS
    assert fleet.due(0, START_NS + 99 * HOUR_NS) == START_NS + 10 * HOUR_NS


@pytest.mark.parametrize(("scope", "speakers"), [(Scope.RUN, 1), (Scope.RANK, 4)])
def test_one_process_speaks_for_a_run_and_every_rank_for_itself(scope: Scope, speakers: int) -> None:
    reporting = run(node_count=2, reporter=Reporter(scope, tokens_per_s=10, flop_per_token=6))
    world = World(scenario(reporting, nodes=2))
    at_ns = START_NS + 3 * HOUR_NS
    reports = [report for node in world.fleet.nodes for report in world.fleet.reports(node, at_ns)]
    assert len(reports) == speakers
    assert {(report.tokens, report.flop) for report in reports} == {(72_000, 432_000)}
    assert {report.started_ns for report in reports} == {
        START_NS + HOUR_NS - rank for rank in range(speakers // 2 or 1)
    }
    assert reported_truth(world.scenario)["a"].tokens == speakers * 8 * 36_000


def test_a_restarted_loop_counts_from_zero() -> None:
    reporting = run(reporter=Reporter(Scope.RUN, tokens_per_s=1, flop_per_token=1))
    world = World(scenario(reporting, failures=(failure(FailureKind.INTERRUPTION, 3),)))
    before, after = (world.fleet.reports(0, START_NS + hour * HOUR_NS)[0] for hour in (3, 4))
    assert (before.tokens, after.tokens) == (7_200, 0)
    assert before.process != after.process
    assert world.fleet.reports(0, START_NS + 3 * HOUR_NS + HALF_H) == []


def test_the_spare_speaks_for_the_run_when_its_first_node_is_lost() -> None:
    reporting = run(reporter=Reporter(Scope.RUN, tokens_per_s=1, flop_per_token=1, tokens_max=10_000))
    lost = scenario(reporting, spares=1, failures=(failure(FailureKind.NODE_LOST, 3),))
    world = World(lost)
    (before,) = world.fleet.reports(0, START_NS + 3 * HOUR_NS)
    (after,) = world.fleet.reports(1, START_NS + 9 * HOUR_NS)
    assert (before.tokens, after.tokens) == (7_200, 2_800)
    assert reported_truth(lost)["a"].tokens == 10_000


def test_a_run_that_does_not_report_is_silent() -> None:
    world = World(scenario())
    assert world.fleet.reports(0, START_NS + 3 * HOUR_NS) == []
    assert reported_truth(world.scenario) == {}
