"""Failures drawn from the seed.

Drawn failures that concern the same node never touch each other, nor a run's start or end: each of them can then be
told from the others in the ledger, and what no agent saw was idle time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.devices.simulated.durations import SECOND_NS
from agent.devices.simulated.scenario import Failure, FailureKind, ScenarioInvalid
from agent.devices.simulated.seeded import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.devices.simulated.scenario import Scenario

ATTEMPTS = 1_000

_ON_GPU = (FailureKind.DEVICE_LOST, FailureKind.RESET)
_ENDS_PROCESSES = (FailureKind.NODE_LOST, *_ON_GPU)


@dataclass(frozen=True, slots=True)
class Draw:
    """So many failures of one kind, each of a length between two (in whole seconds)."""

    kind: FailureKind
    count: int
    shortest_ns: int
    longest_ns: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """Nodes from `first` to before `stop` are taken from `from_ns` through `until_ns`, offsets from the start."""

    first: int
    stop: int
    from_ns: int
    until_ns: int

    def meets(self, other: _Taken) -> bool:
        """Whether the two share a node at one time."""
        apart = self.stop <= other.first or other.stop <= self.first
        return not apart and self.from_ns <= other.until_ns and other.from_ns <= self.until_ns


def with_drawn(scenario: Scenario, draws: tuple[Draw, ...]) -> Scenario:
    """The scenario with its drawn failures beside those it has; raises ScenarioInvalid when there is no room."""
    taken = [*_edges(scenario), *(taken for failure in scenario.failures for taken in _taken(scenario, failure))]
    failures = list(scenario.failures)
    for wanted in draws:
        for number in range(wanted.count):
            failure, takes = _place(scenario, wanted, number, taken)
            failures.append(failure)
            taken.extend(takes)
    return replace(scenario, failures=tuple(failures))


def _place(scenario: Scenario, wanted: Draw, number: int, taken: list[_Taken]) -> tuple[Failure, list[_Taken]]:
    for attempt in range(ATTEMPTS):
        failure = _drawn(scenario, wanted, f"{wanted.kind}/{number}/{attempt}")
        if failure is not None:
            takes = list(_taken(scenario, failure))
            if not any(new.meets(old) for new in takes for old in taken):
                return failure, takes
    raise ScenarioInvalid(
        f"failures.random.{wanted.kind}: no room for number {number + 1} of {wanted.count} clear of the others; "
        "ask for fewer or shorter ones"
    )


def _drawn(scenario: Scenario, wanted: Draw, label: str) -> Failure | None:
    """One candidate, None when it does not fit into the scenario."""
    steps = (wanted.longest_ns - wanted.shortest_ns) // SECOND_NS + 1
    length_ns = wanted.shortest_ns + draw(scenario.seed, f"{label}/length", steps) * SECOND_NS
    seconds = (scenario.length_ns - length_ns) // SECOND_NS
    if seconds < 1:
        return None
    at_ns = draw(scenario.seed, f"{label}/at", seconds) * SECOND_NS
    if wanted.kind is FailureKind.INTERRUPTION:
        run = scenario.runs[draw(scenario.seed, f"{label}/run", len(scenario.runs))]
        inside = run.from_ns < at_ns and at_ns + length_ns < run.until_ns
        return Failure(wanted.kind, at_ns, length_ns, run_id=run.run_id) if inside else None
    node = draw(scenario.seed, f"{label}/node", scenario.nodes)
    if wanted.kind in _ENDS_PROCESSES and any(node == run.first_node for run in scenario.runs):
        return None  # a run's first node speaks for it
    gpu = draw(scenario.seed, f"{label}/gpu", scenario.gpus_per_node) if wanted.kind in _ON_GPU else None
    return Failure(wanted.kind, at_ns, length_ns, node=node, gpu=gpu)


def _edges(scenario: Scenario) -> Iterator[_Taken]:
    for run in scenario.runs:
        for edge_ns in (run.from_ns, run.until_ns):
            yield _Taken(run.first_node, run.first_node + run.node_count, edge_ns, edge_ns)


def _taken(scenario: Scenario, failure: Failure) -> Iterator[_Taken]:
    """Where and when a failure changes something; a lost node concerns the spares too."""
    until_ns = failure.at_ns + (0 if failure.kind is FailureKind.CLOCK_BACK else failure.length_ns)
    spares = (scenario.nodes, scenario.nodes + scenario.spares)
    if failure.node is not None:
        yield _Taken(failure.node, failure.node + 1, failure.at_ns, until_ns)
    else:
        run = next(run for run in scenario.runs if run.run_id == failure.run_id)
        yield _Taken(run.first_node, run.first_node + run.node_count, failure.at_ns, until_ns)
    if failure.kind in (FailureKind.NODE_LOST, FailureKind.INTERRUPTION):
        yield _Taken(*spares, failure.at_ns, until_ns)
