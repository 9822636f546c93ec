"""What a simulated fleet is, what runs on it and what fails: plain data, with every time an offset from the start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agent.devices.simulated.seeded import LEVELS
from agent.errors import Fatal
from compute.cycles import PPM

if TYPE_CHECKING:
    from agent.devices.interface import Method
    from compute.accelerators import Accelerator
    from compute.precision import Dtype


class ScenarioInvalid(Fatal):
    """A scenario that cannot be simulated; the message names the file and the field."""


class Scope(StrEnum):
    """What one process of a training loop reports: its own part, or the whole run."""

    RANK = "rank"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Reporter:
    """How a training loop reports its own work. `tokens_max` ends the counting, None never does.

    With scope `run` the first GPU of the run's first node speaks for all; with `rank` every process does for itself.
    """

    scope: Scope
    tokens_per_s: int
    flop_per_token: int
    tokens_max: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One training run, one process per GPU of nodes `first_node` … `first_node + node_count − 1`.

    `activity_ppm` is the share of cycles in which the tensor pipe is active; devices differ from it by up to
    `jitter_ppm` of it. `fp32_ppm` is the vector pipe's share, None where the scenario has no such counter.
    """

    run_id: str
    model_id: str
    purpose: str
    dtype: Dtype
    first_node: int
    node_count: int
    from_ns: int
    until_ns: int
    activity_ppm: int
    jitter_ppm: int
    clock_mhz: int
    watts: int
    fp32_ppm: int | None = None
    reporter: Reporter | None = None

    def tensor_share(self, level: int) -> int:
        """Tensor-active share of a device with this jitter level, in 10⁻¹² of all cycles."""
        return self.activity_ppm * (PPM + self.jitter_ppm * level // LEVELS)


class FailureKind(StrEnum):
    """What can go wrong in a fleet."""

    INTERRUPTION = "interruption"
    """All processes of a run end; new ones start when it is over."""
    NODE_LOST = "node_lost"
    """A node is off, its agent with it; it comes back after a fresh boot. A free spare takes its place for good."""
    AGENT_RESTART = "agent_restart"
    """Nobody samples for a while; the hardware counts on."""
    DEVICE_LOST = "device_lost"
    """A GPU does not answer; it comes back with a new reset epoch."""
    RESET = "reset"
    """A GPU's counters go to zero at once; its process starts anew when it is over."""
    CLOCK_BACK = "clock_back"
    """The node's wall clock jumps back, and stays behind."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that goes wrong at `at_ns` for `length_ns` (`clock_back`: by that much)."""

    kind: FailureKind
    at_ns: int
    length_ns: int
    run_id: str | None = None
    node: int | None = None
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Until `until_ns`, report every `every_ns`."""

    until_ns: int
    every_ns: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet and its fate. Nodes `nodes` … `nodes + spares − 1` are spares."""

    cluster: str
    seed: int
    start_ns: int
    length_ns: int
    accelerator: Accelerator
    method: Method
    nodes: int
    spares: int
    gpus_per_node: int
    idle_clock_mhz: int
    idle_watts: int
    sample_every_ns: int
    reports: tuple[Stretch, ...]
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def end_ns(self) -> int:
        """Unix time at which the last run is over."""
        return self.start_ns + self.length_ns

    @property
    def all_nodes(self) -> range:
        """Working nodes and spares."""
        return range(self.nodes + self.spares)
