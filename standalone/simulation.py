"""A scenario, driven through the very same agents, sealing, collector and ledger as a real fleet.

Time is the scenario's own. Each node has its agent, key, outbox and chain; the nodes being simulated, so are their
disks: an outbox lives in memory. Instead of sampling every second, an agent samples when a process on its node starts
or ends and when a report is due, which is all that could change a total.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from agent.attribution.environment import Environment
from agent.devices.simulated.backend import SimulatedBackend
from agent.devices.simulated.fleet import Fleet
from agent.identity import AgentIdentity
from agent.main import Agent
from agent.outbox import Outbox
from agent.reports.book import ReportBook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.devices.simulated.reports import Report
    from agent.devices.simulated.scenario import Scenario


class SimulatedNode:
    """One node: its hardware, its agent's outbox and key, and the agent that lives now, if any."""

    def __init__(self, fleet: Fleet, node: int, world_ns: Callable[[], int]) -> None:
        self._fleet = fleet
        self._node = node
        self._key = Ed25519PrivateKey.generate()
        self._backend = SimulatedBackend(fleet, node, world_ns)
        self._now_ns = lambda: fleet.node_clock_ns(node, world_ns())
        self._downs = fleet.agent_downs(node)
        self._lives = 0
        self.outbox = Outbox(":memory:")
        self.instants = fleet.instants(node)
        self.report_instants = frozenset(fleet.report_instants(node))
        self._start_agent()

    def sample(self, world_ns: int) -> bool:
        """What the agent does at one of its instants; True when it sealed a batch."""
        self._restart_if_due(world_ns)
        self._agent.tick()
        reports = self._fleet.reports(self._node, world_ns)
        if reports:
            self._reports.accept(otlp_request(reports, world_ns))
        return world_ns in self.report_instants and self._agent.seal()

    def _restart_if_due(self, world_ns: int) -> None:
        ended = sum(end_ns <= world_ns for _, end_ns in self._downs)
        if ended > self._lives:
            self._lives = ended
            self._start_agent()

    def _start_agent(self) -> None:
        identity = AgentIdentity(self._fleet.scenario.cluster, self._fleet.node_name(self._node), self._key)
        self._reports = ReportBook(identity.node, self._now_ns)
        sources = [Environment(self._backend.environ)]
        self._agent = Agent(identity, [self._backend], sources, self._reports, self.outbox, self._now_ns)


class Simulation:
    """A whole fleet under one clock."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.now_ns = scenario.start_ns
        self.fleet = Fleet(scenario)
        self.nodes = [SimulatedNode(self.fleet, node, self.world_ns) for node in self.fleet.nodes]

    def world_ns(self) -> int:
        """The time in the simulated world, Unix ns."""
        return self.now_ns

    def play(self) -> Iterator[int]:
        """Let every agent do its work at every instant, in order; yields the instants at which batches were sealed."""
        nodes_at: dict[int, list[SimulatedNode]] = {}
        for node in self.nodes:
            for instant in node.instants:
                nodes_at.setdefault(instant, []).append(node)
        for instant in sorted(nodes_at):
            self.now_ns = instant
            sealed = sum(node.sample(instant) for node in nodes_at[instant])
            if sealed:
                yield instant


def otlp_request(reports: Iterable[Report], world_ns: int) -> ExportMetricsServiceRequest:
    """What the training loops' OpenTelemetry SDKs would send: one resource per process, cumulative counters."""
    request = ExportMetricsServiceRequest()
    for report in reports:
        run = report.run
        resource = request.resource_metrics.add()
        named = {
            "service.instance.id": f"{report.device}/{report.process.pid}",
            "flopledger.run.id": run.run_id,
            "flopledger.model.id": run.model_id,
            "flopledger.purpose": run.purpose,
            "flopledger.dtype": run.dtype.value,
        }
        if run.reporter is not None:
            named["flopledger.scope"] = run.reporter.scope.value
        for key, value in named.items():
            attribute = resource.resource.attributes.add()
            attribute.key, attribute.value.string_value = key, value
        metrics = resource.scope_metrics.add().metrics
        # A run's FLOP overflow the int64 that OTLP has room for.
        unit, size = ("GFLOP", 10**9) if report.flop % 10**9 == 0 else ("FLOP", 1)
        for name, unit_name, amount in (
            ("flopledger.training.compute", unit, report.flop // size),
            ("flopledger.training.tokens", "{token}", report.tokens),
        ):
            metric = metrics.add()
            metric.name, metric.unit = name, unit_name
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
            point = metric.sum.data_points.add()
            point.start_time_unix_nano, point.time_unix_nano = report.started_ns, world_ns
            point.as_int = amount
    return request
