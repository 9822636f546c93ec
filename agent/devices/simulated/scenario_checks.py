"""What must hold between the parts of a scenario. The first thing that does not is named by its field in the file."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from agent.devices.simulated.scenario import ScenarioInvalid
from compute.precision import Dtype

if TYPE_CHECKING:
    from agent.devices.simulated.scenario import Scenario


def check(scenario: Scenario) -> None:
    """Raise ScenarioInvalid for what contradicts itself, before any failure is drawn."""
    _check_each_run(scenario)
    _check_runs_together(scenario)
    _check_failures(scenario)


def _check_each_run(scenario: Scenario) -> None:
    chip = scenario.accelerator
    for number, run in enumerate(scenario.runs):
        where = f"runs.{number}"
        if run.first_node + run.node_count > scenario.nodes:
            raise ScenarioInvalid(f"{where}.nodes: beyond the fleet's {scenario.nodes} nodes")
        if not run.from_ns < run.until_ns <= scenario.length_ns:
            raise ScenarioInvalid(f"{where}.until: not after from, or after the scenario's end")
        if run.dtype is not Dtype.UNDECLARED and (run.dtype is Dtype.INT8 or run.dtype not in chip.tensor):
            raise ScenarioInvalid(f"{where}.dtype: {chip.name} has no floating-point tensor rate for {run.dtype}")
        if run.clock_mhz > chip.clock_max_mhz:
            raise ScenarioInvalid(f"{where}.clock_mhz: {chip.name} does at most {chip.clock_max_mhz}")


def _check_runs_together(scenario: Scenario) -> None:
    for (one, first), (other, second) in combinations(enumerate(scenario.runs), 2):
        if first.run_id == second.run_id:
            raise ScenarioInvalid(f"runs.{other}.run_id: also that of runs.{one}")
        share_nodes = _overlap((first.first_node, first.node_count), (second.first_node, second.node_count))
        one_time, other_time = ((run.from_ns, run.until_ns - run.from_ns) for run in (first, second))
        if share_nodes and _overlap(one_time, other_time):
            raise ScenarioInvalid(f"runs.{other}: on nodes of runs.{one} at the same time")


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two ranges, each given by its start and length, have anything in common."""
    return one[0] < other[0] + other[1] and other[0] < one[0] + one[1]


def _check_failures(scenario: Scenario) -> None:
    run_ids = {run.run_id for run in scenario.runs}
    for number, failure in enumerate(scenario.failures):
        where = f"failures.listed.{number}"
        if failure.at_ns >= scenario.length_ns:
            raise ScenarioInvalid(f"{where}.at: after the scenario's end")
        if failure.run_id is not None and failure.run_id not in run_ids:
            raise ScenarioInvalid(f"{where}.run: no run {failure.run_id!r}")
        if failure.node is not None and failure.node not in scenario.all_nodes:
            raise ScenarioInvalid(f"{where}.node: beyond the fleet's {len(scenario.all_nodes)} nodes")
        if failure.gpu is not None and failure.gpu >= scenario.gpus_per_node:
            raise ScenarioInvalid(f"{where}.gpu: beyond the node's {scenario.gpus_per_node} GPUs")
