"""A whole agent over the scripted library: what goes wrong with a GPU, and where its time ends up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.attribution.interface import Claim
from agent.attribution.sources import Attribution
from agent.identity import AgentIdentity
from agent.main import INVENTORY_EVERY_TICKS, Agent
from agent.outbox import Outbox
from agent.reports.book import ReportBook
from tests.agent.devices.nvml.machine import BOOT_NS, H100, START_NS, Load, Machine, S, hmma, node, truth
from tests.agent.nodes import KEY, Totals, totals
from wire.batch import UNATTRIBUTED
from wire.opening import open_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.devices.interface import Device, ProcessKey
    from wire.batch import Event

WORK = [Load(-BOOT_NS, 1755, hmma(500_000))]
PEAK_FLOP_PER_S = 2_274_877_440_000_000
"""Of an H100 SXM in any format, tensor and vector pipes together."""
HOUR = 3_600
RUNS = {11: "a", 12: "b"}


class Tells:
    """Names runs by pid."""

    name = "tells"
    written_by_root = False
    changes = False

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        del device
        run = RUNS.get(process.pid)
        return None if run is None else Claim(run, explicit=True)


class Living:
    """An agent on a machine; `restart` kills it and starts another on what it left."""

    def __init__(self, machine: Machine, limit_s: float = 30.0) -> None:
        self.machine = machine
        self.limit_s = limit_s
        self.outbox = Outbox(":memory:")
        self.alive = {11, 12}
        self.restart()

    def restart(self) -> None:
        machine = self.machine
        self.backend = machine.backend(self.limit_s)
        self.agent = Agent(
            AgentIdentity("test", "node", KEY),
            [self.backend],
            Attribution([Tells()], self.clock_ns),
            ReportBook("node", self.clock_ns),
            self.outbox,
            self.clock_ns,
            lambda process: process.pid in self.alive,
        )

    def clock_ns(self) -> int:
        return START_NS + self.machine.now_ns

    def tick(self, *seconds: float) -> None:
        for at_s in seconds:
            # An agent that is new looks at its devices for half a second before the first sample.
            self.machine.at(round(at_s * S) - (0 if self.agent.ticks else S // 2))
            self.agent.tick()
            self.agent.seal()

    def events(self) -> list[Event]:
        said = {"start", "attribution"}
        batches = [open_batch(sealed) for _, sealed in self.outbox.pending(-1, 1_000_000)]
        return [event for batch in batches for event in batch.events if event.kind not in said]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events()]

    def totals(self) -> Totals:
        return totals(open_batch(sealed) for _, sealed in self.outbox.pending(-1, 1_000_000))

    def time_s(self) -> float:
        """All device time that is accounted for, observed or declared."""
        counted = self.totals()
        return sum(value for (_, column), value in counted.items() if column in {"observed_ns", "gap_ns"}) / S


@pytest.fixture
def living(machine: Machine) -> Iterator[Living]:
    machine.gpu(0, H100, WORK)
    machine.process("0", 11)
    made = Living(machine)
    yield made
    made.outbox.close()


def test_an_hour_without_an_agent_is_the_runs_that_was_there_before_and_after(living: Living) -> None:
    living.tick(1, 2, 3)
    living.restart()
    living.tick(HOUR, HOUR + 1)
    counted = living.totals()
    from_s = 1  # the first sample of all is where counting starts
    expected = truth(WORK, "tensor", 132, from_s * S, (HOUR + 1) * S)
    assert abs(counted["a", "tensor_cycles"] - expected) <= 4
    assert counted["a", "observed_ns"] == pytest.approx((HOUR + 1 - from_s) * S, abs=2 * S)
    assert (UNATTRIBUTED, "tensor_cycles") not in counted


def test_an_hour_in_which_the_process_changed_is_nobodys_and_not_lost(living: Living) -> None:
    living.tick(1, 2)
    living.restart()
    living.machine.entry(11, started=999)
    living.tick(HOUR)
    counted = living.totals()
    assert counted[UNATTRIBUTED, "observed_ns"] == pytest.approx((HOUR - 2) * S, abs=2 * S)
    assert counted["a", "tensor_cycles"] + counted[UNATTRIBUTED, "tensor_cycles"] == pytest.approx(
        float(truth(WORK, "tensor", 132, 1 * S, HOUR * S)), abs=4
    )


def test_a_gpu_that_was_lost_is_a_gap_while_it_is_away_and_a_reset_when_it_is_back(living: Living) -> None:
    machine = living.machine
    machine.run(f"fail 0 * code=15 from={START_NS + 10 * S} to={START_NS + 200 * S}", f"reset 0 {START_NS + 200 * S}")
    living.tick(*range(5, 100, 5))
    away = living.totals()
    # Nobody waits for its return: its counters are gone, and the gap is the run's whose process still lives.
    assert away["a", "gap_ns"] == (95 - 5) * S
    assert away["a", "flop_high"] >= 90 * PEAK_FLOP_PER_S
    living.tick(*range(210, 260, 5))
    assert living.kinds() == ["device-silent", "device-back", "reset"]
    assert living.time_s() == 255 - 5
    assert living.events()[0].detail["reason"] == (
        "GPU-0: the GPU fell off the bus: see dmesg for its Xid, then reset it or reboot (NVML 15)"
    )


def test_the_gap_of_a_gpu_is_nobodys_once_the_process_ended(living: Living) -> None:
    living.machine.run(f"fail 0 * code=15 from={START_NS + 10 * S}")
    living.tick(5, 20)
    living.alive.clear()
    living.tick(30)
    counted = living.totals()
    assert (counted["a", "gap_ns"], counted[UNATTRIBUTED, "gap_ns"]) == (15 * S, 10 * S)


def test_a_permission_that_was_revoked_costs_nothing_where_the_counters_go_on(living: Living) -> None:
    living.machine.run(f"fail 0 * code=4 from={START_NS + 10 * S} to={START_NS + 100 * S}")
    living.tick(*range(5, 130, 5))
    assert living.kinds() == ["device-silent", "device-back"]
    counted = living.totals()
    assert ("a", "gap_ns") not in counted
    assert counted["a", "observed_ns"] == 120 * S
    assert abs(counted["a", "tensor_cycles"] - truth(WORK, "tensor", 132, 5 * S, 125 * S)) <= 4


def test_a_permission_that_is_not_given_back_is_a_gap_where_nothing_else_counts(machine: Machine) -> None:
    machine.gpu(0, H100.replace("counters=sum", "counters=none"), WORK)
    machine.process("0", 11)
    living = Living(machine)
    machine.run(f"fail 0 * code=4 from={START_NS + 10 * S}")
    living.tick(*range(5, 200, 5))
    assert living.time_s() == 190
    assert living.totals()["a", "gap_ns"] == 190 * S
    assert living.kinds() == ["device-silent"]
    living.outbox.close()


def test_a_device_that_was_never_readable_is_a_gap_from_the_first_look(machine: Machine) -> None:
    machine.gpu(0, f"{H100} gpm=0", WORK)
    machine.run("fail 0 nvmlDeviceGetUtilizationRates code=3", "fail 0 nvmlDeviceGetSamples code=3")
    living = Living(machine)
    living.tick(0, 10, 20)
    assert living.totals()[UNATTRIBUTED, "gap_ns"] == 20 * S
    living.outbox.close()


def test_a_call_that_hangs_costs_its_device_alone_and_the_agent_says_so(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    for index in (0, 1):
        machine.gpu(index, H100, WORK)
        machine.process(str(index), 11 + index)
    living = Living(machine, limit_s=0.2)
    living.tick(1)
    machine.run(f"hang 0 nvmlGpmSampleGet from={START_NS + 2 * S}")
    living.tick(*range(3, 30))
    counted = living.totals()
    assert counted["b", "observed_ns"] == 28 * S
    assert ("a", "observed_ns") not in counted
    assert [(event.kind, event.device) for event in living.events()] == [("device-silent", "GPU-0")]
    assert "GPU-0: an NVML call did not return in 0.2 s" in caplog.text
    machine.library.scripted_release()
    living.outbox.close()


def test_a_driver_that_was_loaded_anew_starts_an_epoch_with_an_event(living: Living) -> None:
    machine = living.machine
    living.tick(1, 2)
    machine.run(f"fail * * code=9 from={START_NS + 3 * S} to={START_NS + 20 * S}", f"reset 0 {START_NS + 20 * S}")
    living.tick(4)
    (machine.sys / "module/nvidia").rename(machine.sys / "module/before")
    (machine.sys / "module/nvidia").mkdir()
    living.tick(*range(25, 25 + INVENTORY_EVERY_TICKS))
    assert living.kinds() == ["device-silent", "device-back", "reset"]
    assert living.time_s() == 24 + INVENTORY_EVERY_TICKS - 1


def test_an_instance_made_anew_under_its_uuid_starts_an_epoch_with_an_event(machine: Machine) -> None:
    machine.gpu(0, f"{H100} mig=1")
    instance = "uuid=MIG-1 sms=16 gi=3 ci=0 counters=sum"
    machine.run(
        f"mig 0.0 from={START_NS - BOOT_NS} to={START_NS + 10 * S} {instance}",
        f"mig 0.1 from={START_NS + 11 * S} {instance}",
    )
    living = Living(machine)
    living.tick(1, 5, *range(12, 12 + INVENTORY_EVERY_TICKS))
    assert "reset" in living.kinds()
    assert living.time_s() == pytest.approx(10 + INVENTORY_EVERY_TICKS, abs=1)
    living.outbox.close()


def test_garbage_in_the_process_list_is_nobodys_work_and_no_crash(machine: Machine) -> None:
    machine.gpu(0, f"{H100} garbage=100", WORK)
    living = Living(machine)
    living.tick(1, 2)
    counted = living.totals()
    assert counted[UNATTRIBUTED, "observed_ns"] == S
    living.outbox.close()


SEGMENTS = st.lists(
    st.tuples(st.integers(1, 40), st.integers(300, 1_980), st.integers(0, 950_000)), min_size=1, max_size=6
)
INSTANTS = st.lists(st.tuples(st.integers(2, 2_000), st.sampled_from(["look", "restart"])), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(SEGMENTS, INSTANTS)
def test_whatever_happens_when_the_parts_are_the_devices_and_the_bounds_hold_the_truth(
    segments: list[tuple[int, int, int]], instants: list[tuple[int, str]]
) -> None:
    """Any load, sampled and restarted at any instants, up to the same end: the same cycles, and FLOP within bounds."""
    loads = [Load(-BOOT_NS, 1_000, hmma(100_000))]
    at_s = 2
    for seconds, mhz, tensor in segments:
        loads.append(Load(at_s * S, mhz, hmma(tensor)))
        at_s += seconds
    end_s = 300
    with node() as machine:
        machine.gpu(0, H100, loads)
        machine.process("0", 11)
        living = Living(machine)
        living.tick(1)
        first_ns = machine.now_ns
        for tenths, action in sorted(instants):
            living.tick(1 + tenths / 10)
            if action == "restart":
                living.restart()
        living.tick(end_s)
        counted = living.totals()
        end_ns = machine.now_ns
        living.outbox.close()
    tensor_cycles = sum(counted.get((run, "tensor_cycles"), 0) for run in ("a", UNATTRIBUTED))
    expected = truth(loads, "tensor", 132, first_ns, end_ns)
    assert abs(tensor_cycles - expected) <= 2 * (len(instants) + 2)
    flop = expected * 4096
    assert sum(counted.get((run, "flop_low"), 0) for run in ("a", UNATTRIBUTED)) <= flop
    assert sum(counted.get((run, "flop_high"), 0) for run in ("a", UNATTRIBUTED)) >= flop


LIVES = st.lists(
    st.tuples(st.sampled_from([11, 12, 99]), st.integers(0, 60), st.integers(1, 60), st.integers(0, 100)), max_size=5
)


@settings(max_examples=25, deadline=None)
@given(LIVES, st.lists(st.integers(2, 119), max_size=15, unique=True), st.sampled_from([H100, f"{H100} garbage=3"]))
def test_whoever_comes_and_goes_the_parts_sum_to_the_device(
    lives: list[tuple[int, int, int, int]], instants: list[int], spec: str
) -> None:
    """Processes of two runs and of none, at any time, sharing as they like: not a cycle is lost or counted twice."""
    with node() as machine:
        machine.gpu(0, spec, WORK)
        for pid, from_s, length_s, sm in lives:
            machine.process("0", pid, from_s * S, (from_s + length_s) * S, sm)
        living = Living(machine)
        living.tick(1, *sorted(instants), 120)
        counted = living.totals()
        living.outbox.close()
    for column, pipe in (("tensor_cycles", "tensor"), ("sm_cycles", "elapsed")):
        total = sum(value for (_, name), value in counted.items() if name == column)
        assert abs(total - truth(WORK, pipe, 132, 1 * S, 120 * S)) <= 1
    assert sum(value for (_, name), value in counted.items() if name == "observed_ns") == 119 * S
    assert {run for run, _ in counted} <= {"a", "b", UNATTRIBUTED}
