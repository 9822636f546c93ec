"""What a simulated training loop says of itself: tokens, and FLOP as tokens × FLOP per token.

As in a real loop, counters start at zero in every process: what the run did before stands in the reports of the
processes before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.devices.simulated.durations import SECOND_NS
from agent.devices.simulated.scenario import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.devices.interface import ProcessKey
    from agent.devices.simulated.gpu import Gpu
    from agent.devices.simulated.scenario import Reporter, Run
    from agent.devices.simulated.timeline import Phase, Timeline


@dataclass(frozen=True, slots=True)
class Report:
    """The cumulative counters of one process since it started at `started_ns`; `run.reporter` has their scope."""

    run: Run
    device: str
    process: ProcessKey
    started_ns: int
    flop: int
    tokens: int


def reports(gpu: Gpu, tokens_before: Mapping[tuple[int, int], int], at_ns: int) -> Iterator[Report]:
    """What the processes alive on `gpu` at `at_ns` report; nothing from those that leave it to the run's first."""
    for position in gpu.alive(gpu.timeline.position(at_ns), at_ns):
        phase = gpu.timeline.phases[position]
        run = phase.run
        if run is None or run.reporter is None or not _speaks(run.reporter, phase, gpu.index):
            continue
        tokens = _tokens(run.reporter, at_ns - phase.start_ns, tokens_before.get((gpu.node, position), 0))
        flop = tokens * run.reporter.flop_per_token
        # No two processes of a node start at once, and a receiver may tell them apart by that alone.
        started_ns = phase.start_ns - gpu.index
        yield Report(run, gpu.device.id, gpu.process(position), started_ns, flop, tokens)


def spoken_before(timelines: Sequence[Sequence[Timeline]]) -> dict[tuple[int, int], int]:
    """Tokens that whole runs had reported when a process of (node, position) took over, where that matters."""
    lives = sorted(
        (phase.start_ns, node, position)
        for node, (first_gpu, *_) in enumerate(timelines)
        for position, phase in enumerate(first_gpu.phases)
        if phase.first
    )
    before: dict[tuple[int, int], int] = {}
    spoken: dict[str, int] = {}
    for _, node, position in lives:
        phase = timelines[node][0].phases[position]
        run = phase.run
        if run is not None and run.reporter is not None and run.reporter.scope is Scope.RUN:
            so_far = spoken.get(run.run_id, 0)
            before[node, position] = so_far
            spoken[run.run_id] = so_far + _tokens(run.reporter, phase.end_ns - phase.start_ns, so_far)
    return before


def _speaks(reporter: Reporter, phase: Phase, gpu: int) -> bool:
    return reporter.scope is Scope.RANK or (phase.first and gpu == 0)


def _tokens(reporter: Reporter, elapsed_ns: int, before: int) -> int:
    tokens = elapsed_ns * reporter.tokens_per_s // SECOND_NS
    return tokens if reporter.tokens_max is None else min(tokens, reporter.tokens_max - before)
