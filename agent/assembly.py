"""An agent put together from settings: backends, sources of run identities, outbox, shipper and receiver."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from agent.attribution.assembly import Refreshing, make_sources
from agent.attribution.environment import Environment
from agent.attribution.process_facts import ProcessFacts
from agent.attribution.sources import Attribution
from agent.devices.cpu import CpuBackend
from agent.errors import Fatal
from agent.health import Health
from agent.identity import AgentIdentity
from agent.main import Agent
from agent.memory import give_memory_back
from agent.node_lock import default_path, lock_node
from agent.outbox import Outbox
from agent.reports.book import ReportBook
from agent.reports.receiver import Receiver
from agent.shipping.thread import ShippingThread
from agent.telemetry import start_telemetry
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.devices.interface import Backend
    from agent.devices.simulated.backend import SimulatedBackend
    from cli.settings import Settings
    from wire.kafka import KafkaConnection

KEY_FILE = "agent.key"
OUTBOX_FILE = "outbox.db"
MEMORY_TICKS = frozenset({1, 60})
"""After the first look at every device, and again when everything has made its connections."""


class AgentService:
    """One node's agent, with the loop that drives it. Use as a context: everything is let go at the end.

    With `ship_to` the outbox is emptied into Kafka beside the loop, and in the end as far as a few seconds allow.
    """

    def __init__(self, settings: Settings, ship_to: KafkaConnection | None = None) -> None:
        self._settings = settings
        self._ship_to = ship_to
        self.health = Health()
        self._stack = ExitStack()
        try:
            self._assemble()
        except BaseException:
            self._stack.close()
            raise

    def _assemble(self) -> None:
        settings, stack = self._settings, self._stack
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if not set(settings.backends) <= {"simulated", "replay"}:
            stack.enter_context(lock_node(settings.node_lock or default_path()))
        identity = AgentIdentity(settings.cluster, settings.node, load_or_create_key(settings.data_dir / KEY_FILE))
        self.outbox = Outbox(settings.data_dir / OUTBOX_FILE, settings.outbox_max_bytes)
        stack.callback(self.outbox.close)
        facts = ProcessFacts()
        sources, refresh = make_sources(settings, facts)
        stack.callback(Refreshing(refresh).close)
        attribution = Attribution(sources, time.monotonic_ns, processes_may_name=settings.processes_may_name_runs)
        backends = make_backends(settings, attribution, time.time_ns)
        for backend in backends:
            stack.callback(backend.close)
        reports = ReportBook(settings.node, time.time_ns)
        self.agent = Agent(identity, backends, attribution, reports, self.outbox, time.time_ns, facts.alive)
        shipping = self._shipping = self._start_shipping()
        receiver = Receiver(reports, settings.otlp_host, settings.otlp_port, _token(settings))
        receiver.start()
        self.otlp_port = receiver.port
        stack.callback(receiver.close)
        outage_s = None if shipping is None else shipping.outage_s
        exposed = settings.metrics_port > 0
        stack.callback(start_telemetry(self.agent, self.outbox, outage_s, exposed=exposed))
        if exposed:
            from agent.endpoint import Endpoint

            stack.callback(Endpoint(settings.metrics_host, settings.metrics_port, self.health).stop)

    def _start_shipping(self) -> ShippingThread | None:
        if self._ship_to is None:
            return None
        from agent.shipping.kafka import KafkaTransport

        shipping = ShippingThread(self.outbox, KafkaTransport(self._ship_to))
        shipping.start()
        self._stack.callback(shipping.finish)
        return shipping

    def run(self, wait: Callable[[float], bool]) -> None:
        """Sample and seal on time until `wait`, which pauses for so many seconds, says to stop; then seal once more.

        The first sample is sealed at once: from then on a crash loses nothing, since the next agent starts from it.
        """
        settings = self._settings
        seal_at_s = time.monotonic()
        while True:
            started_s = time.monotonic()
            self.agent.tick()
            self.health.sampled(self.agent.trouble)
            if started_s >= seal_at_s:
                if self.agent.seal() and self._shipping is not None:
                    self._shipping.stored()
                seal_at_s = started_s + settings.seal_every_s
            if self.agent.ticks in MEMORY_TICKS:
                give_memory_back()
            if wait(max(settings.sample_every_s - (time.monotonic() - started_s), 0.001)):
                break
        self.agent.tick()
        self.agent.seal()

    def __enter__(self) -> AgentService:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def make_backends(settings: Settings, attribution: Attribution, now_ns: Callable[[], int]) -> list[Backend]:
    """What the settings name, each backend loaded only when it is used; raises `Fatal` when one cannot be."""
    backends: list[Backend] = []
    for name in settings.backends:
        backends.append(_made(name, settings, attribution, now_ns, backends))
    return backends


def _made(
    name: str, settings: Settings, attribution: Attribution, now_ns: Callable[[], int], others: Sequence[Backend]
) -> Backend:
    if name == "simulated":
        simulated = _simulated(settings, now_ns)
        attribution.add(Environment(simulated.environ))
        return simulated
    if name == "cpu":
        return CpuBackend(attribution.names_itself, now_ns)
    if name == "nvml":
        from agent.devices.nvml.backend import NvmlBackend

        return NvmlBackend()
    if name == "dcgm":
        from agent.devices.dcgm import DcgmBackend
        from agent.devices.nvml.backend import NvmlBackend

        # dcgm-exporter knows no processes and no MIG UUIDs; NVML, where it is there too, does.
        nvml = next((other for other in others if isinstance(other, NvmlBackend)), None)
        return DcgmBackend(settings.dcgm_url, nvml)
    if settings.trace is None:
        raise Fatal("the replay backend plays a recorded trace: name it with FLOPLEDGER_TRACE")
    from agent.devices.replay import ReplayBackend

    return ReplayBackend(settings.trace, now_ns)


def _simulated(settings: Settings, now_ns: Callable[[], int]) -> SimulatedBackend:
    from agent.devices.simulated.backend import SimulatedBackend
    from agent.devices.simulated.fleet import Fleet
    from agent.devices.simulated.scenario_file import load

    if settings.scenario is None:
        raise Fatal("the simulated backend plays a scenario: name its file with FLOPLEDGER_SCENARIO")
    fleet, node = Fleet(load(settings.scenario)), settings.scenario_node
    if node not in fleet.nodes:
        raise Fatal(f"FLOPLEDGER_SCENARIO_NODE: there is no node {node} among the scenario's {len(fleet.nodes)}")
    return SimulatedBackend(fleet, node, lambda: fleet.due(node, now_ns()))


def _token(settings: Settings) -> str | None:
    if settings.otlp_token_file is None:
        return None
    try:
        return settings.otlp_token_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Fatal(f"FLOPLEDGER_OTLP_TOKEN_FILE: {settings.otlp_token_file}: {error.strerror}") from error
