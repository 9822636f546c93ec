"""Fleets to test with: one by hand, many by Hypothesis, and an agent reduced to its sums."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from agent.devices.interface import Delta, Method, ProcessKey, Snapshot
from agent.devices.simulated.backend import SimulatedBackend
from agent.devices.simulated.failures import Draw, with_drawn
from agent.devices.simulated.fleet import Fleet
from agent.devices.simulated.scenario import (
    Failure,
    FailureKind,
    Reporter,
    Run,
    Scenario,
    ScenarioInvalid,
    Scope,
    Stretch,
)
from agent.errors import SkipDevice
from compute.accelerators import table
from compute.precision import Dtype

START_NS = 1_767_614_400_000_000_000
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
NOBODY = "nobody"


def run(run_id: str = "a", **changes: Any) -> Run:
    """A run on node 0 for hours 1 to 9, unless changed."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "model_id": "model",
        "purpose": "pre-training",
        "dtype": Dtype.BF16,
        "first_node": 0,
        "node_count": 1,
        "from_ns": HOUR_NS,
        "until_ns": 9 * HOUR_NS,
        "activity_ppm": 412_345,
        "jitter_ppm": 20_000,
        "clock_mhz": 1_755,
        "watts": 640,
    }
    return Run(**{**values, **changes})


def scenario(*runs: Run, failures: tuple[Failure, ...] = (), **changes: Any) -> Scenario:
    """Ten hours of one node with two H100, unless changed."""
    values: dict[str, Any] = {
        "cluster": "test",
        "seed": 7,
        "start_ns": START_NS,
        "length_ns": 10 * HOUR_NS,
        "accelerator": table()["H100 SXM5 80GB"],
        "method": Method.GPM_CYCLES,
        "nodes": 1,
        "spares": 0,
        "gpus_per_node": 2,
        "idle_clock_mhz": 345,
        "idle_watts": 75,
        "sample_every_ns": HOUR_NS,
        "reports": (Stretch(10 * HOUR_NS, 2 * HOUR_NS),),
        "runs": runs or (run(),),
        "failures": failures,
    }
    return Scenario(**{**values, **changes})


def failure(kind: FailureKind, at_h: int, length_h: int = 1, **where: Any) -> Failure:
    """A failure at a whole hour, of node 0 unless it is an interruption."""
    where = where or ({"run_id": "a"} if kind is FailureKind.INTERRUPTION else {"node": 0})
    return Failure(kind, at_h * HOUR_NS, length_h * HOUR_NS, **where)


@dataclass
class World:
    """A fleet with its time in the test's hand."""

    scenario: Scenario
    now_ns: int = START_NS

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.scenario)

    def backend(self, node: int = 0) -> SimulatedBackend:
        """A backend of one node."""
        return SimulatedBackend(self.fleet, node, self.time)

    def time(self) -> int:
        """The clock that the backends are given."""
        return self.now_ns

    def at_h(self, hours: float) -> None:
        """Go to so many hours after the start."""
        self.now_ns = START_NS + int(hours * HOUR_NS)


@dataclass
class Watched:
    """What an agent on every node would have counted: tensor cycles and FLOP per run, all deltas, last snapshots."""

    cycles: Counter[str] = field(default_factory=Counter)
    flop: Counter[str] = field(default_factory=Counter)
    deltas: list[tuple[Snapshot, Snapshot, Delta]] = field(default_factory=list)
    first_and_last: dict[tuple[str, str], tuple[Snapshot, Snapshot]] = field(default_factory=dict)


def watch(world: World) -> Watched:
    """Sample all nodes at their instants; a process has what was done while it was there at both ends."""
    watched = Watched()
    for node in world.fleet.nodes:
        backend = world.backend(node)
        runs: dict[ProcessKey, dict[str, str]] = {}
        before: dict[str, Snapshot] = {}
        for instant in world.fleet.instants(node):
            world.now_ns = instant
            for device in backend.devices():
                try:
                    after = backend.snapshot(device)
                except SkipDevice:
                    continue
                runs.update({use.key: dict(backend.environ(use.key.pid)) for use in after.processes})
                earlier = before.get(device.id)
                before[device.id] = after
                key = (device.id, after.epoch)
                watched.first_and_last[key] = (watched.first_and_last.get(key, (after, after))[0], after)
                if earlier is None or earlier.epoch != after.epoch:
                    continue
                delta = backend.delta(earlier, after)
                assert delta is not None
                watched.deltas.append((earlier, after, delta))
                stayed = {use.key for use in earlier.processes} & {use.key for use in after.processes}
                assert len(stayed) <= 1
                environ = runs[stayed.pop()] if stayed else {}
                cycles = delta.cycles.tensor or 0
                watched.cycles[environ.get("FLOPLEDGER_RUN_ID", NOBODY)] += cycles
                if environ:
                    rates = world.scenario.accelerator.tensor
                    dtype = Dtype(environ.get("FLOPLEDGER_DTYPE", Dtype.BF16))
                    watched.flop[environ["FLOPLEDGER_RUN_ID"]] += cycles * rates[dtype]
    return watched


_LENGTH_NS = 2_000 * SECOND_NS + 7
_OFFSETS = st.integers(0, _LENGTH_NS - 1)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any small fleet with any runs and any failures, the dead agents clear of what they would miss."""
    nodes = draw(st.integers(1, 3))
    spares = draw(st.integers(0, 2))
    gpus = draw(st.integers(1, 2))
    cuts = sorted(draw(st.lists(_OFFSETS, min_size=2, max_size=5, unique=True)))
    runs = []
    for number, (from_ns, until_ns) in enumerate(pairwise(cuts)):
        first = draw(st.integers(0, nodes - 1))
        runs.append(
            run(
                f"run-{number}",
                dtype=draw(st.sampled_from([Dtype.BF16, Dtype.FP8, Dtype.FP64, Dtype.TF32, Dtype.UNDECLARED])),
                first_node=first,
                node_count=draw(st.integers(1, nodes - first)),
                from_ns=from_ns,
                until_ns=until_ns,
                activity_ppm=draw(st.integers(0, 900_000)),
                jitter_ppm=draw(st.integers(0, 100_000)),
                clock_mhz=draw(st.integers(1, 1_980)),
                fp32_ppm=draw(st.none() | st.integers(0, 1_000_000)),
                reporter=draw(st.none() | _reporters()),
            )
        )
    failures = tuple(draw(st.lists(_failures(nodes + spares, gpus, len(runs)), max_size=8)))
    drawn = Draw(FailureKind.AGENT_RESTART, draw(st.integers(0, 2)), SECOND_NS, 100 * SECOND_NS)
    whole = scenario(
        *runs,
        failures=failures,
        seed=draw(st.integers(0, 2**64)),
        length_ns=_LENGTH_NS,
        nodes=nodes,
        spares=spares,
        gpus_per_node=gpus,
        sample_every_ns=draw(st.integers(_LENGTH_NS // 10, 2 * _LENGTH_NS)),
        reports=(Stretch(_LENGTH_NS // 2, _LENGTH_NS // 7), Stretch(_LENGTH_NS, _LENGTH_NS // 3)),
    )
    try:
        return with_drawn(whole, (drawn,))
    except ScenarioInvalid:
        assume(False)
        raise


@st.composite
def _reporters(draw: st.DrawFn) -> Reporter:
    scope = draw(st.sampled_from(Scope))
    most = draw(st.none() | st.integers(1, 10**7)) if scope is Scope.RUN else None
    return Reporter(scope, draw(st.integers(1, 10_000)), draw(st.integers(1, 10**13)), most)


@st.composite
def _failures(draw: st.DrawFn, nodes: int, gpus: int, runs: int) -> Failure:
    kind = draw(st.sampled_from([kind for kind in FailureKind if kind is not FailureKind.AGENT_RESTART]))
    at_ns, length_ns = draw(_OFFSETS), draw(st.integers(1, _LENGTH_NS))
    if kind is FailureKind.INTERRUPTION:
        return Failure(kind, at_ns, length_ns, run_id=f"run-{draw(st.integers(0, runs - 1))}")
    on_gpu = kind in (FailureKind.DEVICE_LOST, FailureKind.RESET)
    gpu = draw(st.integers(0, gpus - 1)) if on_gpu else None
    return Failure(kind, at_ns, length_ns, node=draw(st.integers(0, nodes - 1)), gpu=gpu)
