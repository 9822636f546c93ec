"""When a simulated agent must look, and when it must report.

An agent on a real node looks once a second and meets every change within a second. In simulated time that would be
millions of looks, so the agent is woken at the changes themselves, and at the regular times besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.devices.simulated.scenario import FailureKind
from agent.devices.simulated.timeline import FOREVER_NS, failure_window
from agent.devices.simulated.windows import Window, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agent.devices.simulated.scenario import Scenario
    from agent.devices.simulated.timeline import Timeline

_AGENT_ENDS = (FailureKind.AGENT_RESTART, FailureKind.NODE_LOST)


def agent_downs(scenario: Scenario) -> dict[int, tuple[Window, ...]]:
    """When no agent runs on a node, in Unix time: it dies at the start of each window and is back at its end."""
    downs: dict[int, list[Window]] = {}
    for failure in scenario.failures:
        if failure.kind in _AGENT_ENDS and failure.node is not None:
            downs.setdefault(failure.node, []).append(failure_window(scenario, failure))
    return {node: merged(windows) for node, windows in downs.items()}


def clock_jumps(scenario: Scenario) -> dict[int, tuple[tuple[int, int], ...]]:
    """When the wall clock of a node jumps back and by how much, in order."""
    jumps: dict[int, list[tuple[int, int]]] = {}
    for failure in scenario.failures:
        if failure.kind is FailureKind.CLOCK_BACK and failure.node is not None:
            jumps.setdefault(failure.node, []).append((scenario.start_ns + failure.at_ns, failure.length_ns))
    return {node: tuple(sorted(found)) for node, found in jumps.items()}


def report_instants(scenario: Scenario, downs: Sequence[Window]) -> list[int]:
    """When the agent reports: as the scenario's stretches say, at the end, and when it dies.

    In the field an agent seals every few seconds, so that what it saw last is stored when it dies. Here it may report
    once a week, and the report at its death stands for those.
    """
    times = {*_report_times(scenario), *(down.start_ns for down in downs), scenario.end_ns}
    return _while_up((at_ns for at_ns in times if at_ns <= scenario.end_ns), downs)


def sampling_instants(
    scenario: Scenario,
    timelines: Sequence[Timeline],
    jumps: Sequence[tuple[int, int]],
    downs: Sequence[Window],
) -> list[int]:
    """When the agent must look: at edges of phases, at its own death and return, at jumps, reports and samples."""
    edges = {edge for timeline in timelines for phase in timeline.phases for edge in (phase.start_ns, phase.end_ns)}
    times = {
        *(edge for edge in edges if edge != FOREVER_NS),
        *(edge for down in downs for edge in down),
        *(at_ns for at_ns, _ in jumps),
        *range(scenario.start_ns, scenario.end_ns, scenario.sample_every_ns),
        *_report_times(scenario),
        scenario.end_ns,
    }
    return _while_up({at_ns for at_ns in times if at_ns <= scenario.end_ns}, downs)


def _report_times(scenario: Scenario) -> Iterator[int]:
    at_ns = scenario.start_ns
    for stretch in scenario.reports:
        until_ns = scenario.start_ns + stretch.until_ns
        while at_ns + stretch.every_ns <= until_ns:
            at_ns += stretch.every_ns
            yield at_ns


def _while_up(times: Iterable[int], downs: Sequence[Window]) -> list[int]:
    return sorted(at_ns for at_ns in times if not any(down < at_ns < up for down, up in downs))
