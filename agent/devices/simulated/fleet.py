"""The simulated fleet: every node, every GPU, and what may be asked of them at any time."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from agent.devices.simulated.gpu import FIRST_PID, Gpu
from agent.devices.simulated.hardware import table
from agent.devices.simulated.reports import reports, spoken_before
from agent.devices.simulated.schedule import agent_downs, clock_jumps, report_instants, sampling_instants
from agent.devices.simulated.timeline import timelines
from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.devices.simulated.hardware import Table
    from agent.devices.simulated.reports import Report
    from agent.devices.simulated.scenario import Run, Scenario
    from agent.devices.simulated.timeline import Timeline
    from agent.devices.simulated.windows import Window


class Fleet:
    """A scenario brought to life. Times are the world's, in Unix time; only `node_clock_ns` is what a node reads."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.world = uuid5(NAMESPACE_URL, f"flopledger-simulated:{scenario.cluster}/{scenario.seed}")
        self.timelines = timelines(scenario)
        self._downs = agent_downs(scenario)
        self._jumps = clock_jumps(scenario)
        self._spoken_before = spoken_before(self.timelines)
        self._tables: dict[tuple[Timeline, int], Table] = {}
        self._gpus: dict[int, tuple[Gpu, ...]] = {}
        self._boot_ids: dict[tuple[int, int], str] = {}
        self._instants: dict[tuple[object, ...], list[int]] = {}

    @property
    def nodes(self) -> range:
        """Numbers of the nodes, spares last."""
        return self.scenario.all_nodes

    def node_name(self, node: int) -> str:
        """The node's host name."""
        return f"node-{node:04d}"

    def gpus(self, node: int) -> tuple[Gpu, ...]:
        """The node's GPUs, in order."""
        found = self._gpus.get(node)
        if found is None:
            found = tuple(Gpu(self, node, index, timeline) for index, timeline in enumerate(self.timelines[node]))
            self._gpus[node] = found
        return found

    def table(self, timeline: Timeline, level: int) -> Table:
        """The counters' table, made once for all devices that share it."""
        found = self._tables.get((timeline, level))
        if found is None:
            self._tables[timeline, level] = found = table(self.scenario, timeline, level)
        return found

    def agent_downs(self, node: int) -> tuple[Window, ...]:
        """When no agent runs on the node: it dies at the start of each window and is back at its end."""
        return self._downs.get(node, ())

    def instants(self, node: int) -> Sequence[int]:
        """When an agent on the node must sample to see every start and end of a process, in order."""
        downs, jumps = self.agent_downs(node), self._jumps.get(node, ())
        key = (*self.timelines[node], downs, jumps)
        found = self._instants.get(key)
        if found is None:
            self._instants[key] = found = sampling_instants(self.scenario, self.timelines[node], jumps, downs)
        return found

    def report_instants(self, node: int) -> Sequence[int]:
        """When an agent on the node must report, in order; all of them are instants to sample at too."""
        return report_instants(self.scenario, self.agent_downs(node))

    def due(self, node: int, now_ns: int) -> int:
        """The last of the node's instants at or before `now_ns`, at least the first.

        As the backend's clock it lets an agent in real time see every edge exactly, however late it looks.
        """
        instants = self.instants(node)
        return instants[max(bisect_right(instants, now_ns) - 1, 0)]

    def node_clock_ns(self, node: int, at_ns: int) -> int:
        """What the node's wall clock reads at `at_ns`."""
        jumps = self._jumps.get(node)
        return at_ns - sum(back_ns for jump_ns, back_ns in jumps if jump_ns <= at_ns) if jumps else at_ns

    def boot_id(self, node: int, boot: int) -> str:
        """The name of one boot of a node; another start of the same scenario is another boot."""
        found = self._boot_ids.get((node, boot))
        if found is None:
            self._boot_ids[node, boot] = found = str(uuid5(self.world, f"boot/{self.scenario.start_ns}/{node}/{boot}"))
        return found

    def environ(self, node: int, pid: int, at_ns: int) -> Mapping[str, str]:
        """The environment of a process of the node, empty when none with this pid is alive at `at_ns`."""
        position, index = divmod(pid - FIRST_PID, self.scenario.gpus_per_node)
        gpu = self.gpus(node)[index]
        if at_ns < self.scenario.start_ns or position not in gpu.alive(gpu.timeline.position(at_ns), at_ns):
            return {}
        run = gpu.timeline.phases[position].run
        return {} if run is None else _environ(run)

    def reports(self, node: int, at_ns: int) -> list[Report]:
        """What the training loops alive on the node at `at_ns` have reported of themselves so far."""
        if at_ns < self.scenario.start_ns:
            return []
        return [report for gpu in self.gpus(node) for report in reports(gpu, self._spoken_before, at_ns)]


def _environ(run: Run) -> dict[str, str]:
    names = {
        "FLOPLEDGER_RUN_ID": run.run_id,
        "FLOPLEDGER_MODEL_ID": run.model_id,
        "FLOPLEDGER_PURPOSE": run.purpose,
    }
    return names if run.dtype is Dtype.UNDECLARED else {**names, "FLOPLEDGER_DTYPE": run.dtype.value}
