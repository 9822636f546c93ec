"""Failures drawn from the seed."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.devices.simulated.failures import Draw, with_drawn
from agent.devices.simulated.scenario import Failure, FailureKind, Scenario, ScenarioInvalid
from tests.agent.devices.simulated.fleets import HOUR_NS, SECOND_NS, failure, run, scenario

ALL = tuple(Draw(kind, 2, 10 * SECOND_NS, 300 * SECOND_NS) for kind in FailureKind)


def fleet(seed: int) -> Scenario:
    return scenario(run(node_count=3), nodes=4, seed=seed)


def concerns(whole: Scenario, one: Failure) -> set[int]:
    if one.node is not None:
        return {one.node}
    return {node for run in whole.runs for node in range(run.first_node, run.first_node + run.node_count)}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_drawn_failures_are_as_many_and_as_long_as_asked_and_clear_of_each_other(seed: int) -> None:
    whole = with_drawn(fleet(seed), ALL)
    for draw in ALL:
        lengths = [one.length_ns for one in whole.failures if one.kind is draw.kind]
        assert len(lengths) == 2
        assert all(draw.shortest_ns <= length <= draw.longest_ns for length in lengths)
    for one, other in combinations(whole.failures, 2):
        if concerns(whole, one) & concerns(whole, other) and FailureKind.CLOCK_BACK not in (one.kind, other.kind):
            assert one.at_ns + one.length_ns < other.at_ns or other.at_ns + other.length_ns < one.at_ns


def test_the_same_seed_draws_the_same_and_another_draws_other_ones() -> None:
    assert with_drawn(fleet(1), ALL) == with_drawn(fleet(1), ALL)
    assert with_drawn(fleet(1), ALL).failures != with_drawn(fleet(2), ALL).failures


def test_draws_are_fixed_for_good() -> None:
    (one,) = with_drawn(fleet(1), (Draw(FailureKind.RESET, 1, 10 * SECOND_NS, 300 * SECOND_NS),)).failures
    assert (one.at_ns // SECOND_NS, one.length_ns // SECOND_NS, one.node, one.gpu) == (24_599, 120, 2, 1)


def test_listed_failures_stay_and_are_kept_clear_of() -> None:
    listed = failure(FailureKind.INTERRUPTION, 2, 6)
    whole = with_drawn(scenario(failures=(listed,)), (Draw(FailureKind.AGENT_RESTART, 3, SECOND_NS, HOUR_NS // 4),))
    assert whole.failures[0] == listed
    for one in whole.failures[1:]:
        assert one.at_ns + one.length_ns < 2 * HOUR_NS or one.at_ns > 8 * HOUR_NS


def test_the_first_node_of_a_run_is_not_drawn_to_be_lost() -> None:
    draws = (Draw(FailureKind.NODE_LOST, 20, SECOND_NS, SECOND_NS),)
    assert all(one.node != 0 for one in with_drawn(fleet(3), draws).failures)


@pytest.mark.parametrize("kind", [FailureKind.INTERRUPTION, FailureKind.NODE_LOST])
def test_where_there_is_no_room_the_scenario_is_refused(kind: FailureKind) -> None:
    with pytest.raises(ScenarioInvalid, match=f"failures.random.{kind}: no room for number 1 of 1"):
        with_drawn(scenario(), (Draw(kind, 1, 11 * HOUR_NS, 11 * HOUR_NS),))
