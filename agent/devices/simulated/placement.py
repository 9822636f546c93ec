"""Which node does which run's work, and when: runs keep their places, and a spare takes the place of a lost node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.devices.simulated.scenario import FailureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.devices.simulated.scenario import Run, Scenario


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A run on a node for a time (Unix). `first` is the run's first place, where the whole run is reported from."""

    run: Run
    first: bool
    from_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class _Hold:
    """A node in a place for a time."""

    place: int
    node: int
    from_ns: int
    until_ns: int


def occupancies(scenario: Scenario) -> list[tuple[Occupancy, ...]]:
    """What runs on every node, in order of time, failures other than the move to a spare not yet taken out."""
    found: list[list[Occupancy]] = [[] for _ in scenario.all_nodes]
    for hold in _holds(scenario):
        for run in scenario.runs:
            if run.first_node <= hold.place < run.first_node + run.node_count:
                from_ns = max(hold.from_ns, scenario.start_ns + run.from_ns)
                until_ns = min(hold.until_ns, scenario.start_ns + run.until_ns)
                if from_ns < until_ns:
                    found[hold.node].append(Occupancy(run, hold.place == run.first_node, from_ns, until_ns))
    return [tuple(sorted(on_node, key=lambda occupancy: occupancy.from_ns)) for on_node in found]


def _holds(scenario: Scenario) -> list[_Hold]:
    """Every node's time in every place, following the losses in order of time."""
    ended: list[_Hold] = []
    current = {place: _Hold(place, place, scenario.start_ns, scenario.end_ns) for place in range(scenario.nodes)}
    back_ns = dict.fromkeys(scenario.all_nodes, scenario.start_ns)
    losses = [failure for failure in scenario.failures if failure.kind is FailureKind.NODE_LOST]
    for loss in sorted(losses, key=lambda failure: (failure.at_ns, failure.node)):
        at_ns = scenario.start_ns + loss.at_ns
        node = loss.node
        assert node is not None  # the scenario's file is checked when it is read
        back_ns[node] = max(back_ns[node], at_ns + loss.length_ns)
        holding = next((hold for hold in current.values() if hold.node == node), None)
        spare = _spare(scenario, list(current.values()), back_ns, at_ns)
        if holding is not None and spare is not None:
            ended.append(_Hold(holding.place, node, holding.from_ns, at_ns))
            current[holding.place] = _Hold(holding.place, spare, at_ns, scenario.end_ns)
    return ended + list(current.values())


def _spare(scenario: Scenario, holds: Sequence[_Hold], back_ns: dict[int, int], at_ns: int) -> int | None:
    """The first node that is up and holds no place, None when there is none."""
    taken = {hold.node for hold in holds}
    return next((node for node in scenario.all_nodes if node not in taken and back_ns[node] <= at_ns), None)
