"""What the ledger must arrive at, to the last digit.

Counted run by run from the phases and the scenario's own numbers, by another way than the counters: nothing here asks a
device, a table or a backend.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from agent.devices.simulated.durations import SECOND_NS
from agent.devices.simulated.scenario import Scope
from agent.devices.simulated.seeded import jitter_level
from agent.devices.simulated.timeline import timelines
from compute.cycles import PPM

if TYPE_CHECKING:
    from pathlib import Path

    from agent.devices.simulated.scenario import Run, Scenario
    from agent.devices.simulated.timeline import Timeline

SCHEMA = "flopledger.truth/1"


@dataclass(frozen=True, slots=True)
class Reported:
    """What a run's training loop reports in all."""

    scope: Scope
    flop: int
    tokens: int


def truth(scenario: Scenario) -> dict[str, int]:
    """FLOP that every run executes in all, by run id: tensor cycles × FLOP per cycle in its format."""
    alike = Counter(
        (timeline, jitter_level(scenario.seed, node, gpu))
        for node, on_node in enumerate(timelines(scenario))
        for gpu, timeline in enumerate(on_node)
    )
    totals = {run.run_id: 0 for run in scenario.runs}
    for (timeline, level), devices in alike.items():
        for phase in timeline.phases:
            if phase.run is not None:
                cycles = _tensor_cycles(scenario, phase.run, level, phase.end_ns - phase.start_ns)
                totals[phase.run.run_id] += devices * cycles * _flop_per_cycle(scenario, phase.run)
    return totals


def reported_truth(scenario: Scenario) -> dict[str, Reported]:
    """What every run that reports says of itself in all, by run id."""
    everywhere = timelines(scenario)
    return {
        run.run_id: Reported(run.reporter.scope, tokens * run.reporter.flop_per_token, tokens)
        for run in scenario.runs
        if run.reporter is not None
        for tokens in [_reported_tokens(run, everywhere)]
    }


def write_truth(scenario: Scenario, path: Path) -> None:
    """Both truths as JSON, amounts as decimal strings."""
    reported = reported_truth(scenario)
    runs: dict[str, dict[str, str | None]] = {}
    for run_id, flop in truth(scenario).items():
        said = reported.get(run_id)
        runs[run_id] = {
            "flop": str(flop),
            "reported_scope": said.scope if said else None,
            "reported_flop": str(said.flop) if said else None,
            "reported_tokens": str(said.tokens) if said else None,
        }
    path.write_bytes(orjson.dumps({"schema": SCHEMA, "runs": runs}, option=orjson.OPT_INDENT_2) + b"\n")


def _tensor_cycles(scenario: Scenario, run: Run, level: int, duration_ns: int) -> int:
    """Active cycles of one device in one life of its process: MHz × ns are thousandths of a cycle, the share 10⁻¹²."""
    elapsed = duration_ns * run.clock_mhz * scenario.accelerator.sm_count
    return elapsed * run.tensor_share(level) // (1_000 * PPM**2)


def _flop_per_cycle(scenario: Scenario, run: Run) -> int:
    rates = scenario.accelerator.tensor
    return rates.get(run.dtype, rates[scenario.accelerator.training_dtype])


def _reported_tokens(run: Run, everywhere: list[tuple[Timeline, ...]]) -> int:
    reporter = run.reporter
    if reporter is None:
        return 0
    tokens = sum(
        (phase.end_ns - phase.start_ns) * reporter.tokens_per_s // SECOND_NS
        for on_node in everywhere
        for timeline in (on_node if reporter.scope is Scope.RANK else on_node[:1])
        for phase in timeline.phases
        if phase.run is run and (reporter.scope is Scope.RANK or phase.first)
    )
    return tokens if reporter.tokens_max is None else min(tokens, reporter.tokens_max)
