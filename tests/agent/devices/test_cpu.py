"""The processor backend against the very machine that the tests run on, and against a machine that is made up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from agent.attribution.environment import Environment
from agent.attribution.interface import RunIdentity
from agent.attribution.process_facts import ProcessFacts
from agent.attribution.share import parts, shares
from agent.attribution.sources import Attribution
from agent.booking import book_delta
from agent.counters import Counters
from agent.devices.counters import BOOTTIME_NS, BUSY_NS
from agent.devices.cpu import CpuBackend
from agent.devices.interface import Capability, Delta, Device, Method, ProcessKey, ProcessUse, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUSY = """
print(flush=True)
zeros = open("/dev/zero", "rb", buffering=0)
while True:
    zeros.read(4096)
"""
IDLE = "import sys; print(flush=True); sys.stdin.read()"
DEADLINE_S = 30.0
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@contextmanager
def child(code: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with no more than these names in its environment, old enough to be told from its parent."""
    command = [sys.executable, "-S", "-c", code]
    process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        until(lambda: since_boot_ns() - started_ns(process.pid) > 150_000_000)
        yield process
    finally:
        process.kill()
        process.communicate()


def since_boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def started_ns(pid: int) -> int:
    """When a process started, since boot: the 22nd field, of which the second may hold spaces and parentheses."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[19]) * TICK_NS


def until(reached: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not reached():
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.01)


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def work(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until the process had so much more of the processor."""
    goal = cpu_s(process) + seconds
    until(lambda: cpu_s(process) >= goal)


def backend() -> tuple[CpuBackend, Attribution]:
    attribution = Attribution([Environment(ProcessFacts().environ)], time.monotonic_ns)
    return CpuBackend(attribution.names_itself, time.time_ns), attribution


def use_of(snapshot: Snapshot, process: subprocess.Popen[bytes]) -> ProcessUse:
    (use,) = [use for use in snapshot.processes if use.key.pid == process.pid]
    return use


def test_this_machine_is_one_device_with_an_upper_bound() -> None:
    made, _ = backend()
    (device,) = made.devices()
    assert made.devices() == [device]
    assert (device.kind, device.accelerator) == ("cpu", None)
    assert device.id.startswith("cpu-")
    assert len(device.id) > len("cpu-")
    assert device.units == psutil.cpu_count()
    assert device.clock_max_mhz
    assert device.flop_per_s_max
    assert device.units
    assert device.flop_per_s_max % (device.units * device.clock_max_mhz * 10**6) == 0
    assert made.capabilities(device) == [Capability(Method.CPU_TIME, True)]
    made.close()


def test_a_busy_process_that_names_a_run_is_counted_for_it() -> None:
    made, attribution = backend()
    (device,) = made.devices()
    with child(BUSY, FLOPLEDGER_RUN_ID="burn") as burning, child(IDLE) as other:
        before = made.snapshot(device)
        work(burning, 0.1)
        after = made.snapshot(device)
        pids = {use.key.pid for use in after.processes}
    grown_ns = (use_of(after, burning).busy_ns or 0) - (use_of(before, burning).busy_ns or 0)
    assert grown_ns >= 100_000_000
    assert other.pid not in pids
    delta = made.delta(before, after)
    assert delta is not None
    assert delta.busy_ns is not None
    assert delta.busy_ns >= grown_ns
    split = shares(delta, before.processes, after.processes, partial(attribution.identify, device=device))
    cut = parts(delta.busy_ns, [share.weight for share in split])
    assert sum(cut) == delta.busy_ns
    # Whatever else runs on this machine: the run has its own time, and not a tick of anybody else's.
    assert {share.run: part for share, part in zip(split, cut, strict=True)}[RunIdentity("burn")] == grown_ns


def test_it_is_an_upper_bound_and_never_a_point() -> None:
    made, attribution = backend()
    (device,) = made.devices()
    counters = Counters()
    with child(BUSY, FLOPLEDGER_RUN_ID="burn", FLOPLEDGER_DTYPE="fp32") as burning:
        before = made.snapshot(device)
        work(burning, 0.05)
        after = made.snapshot(device)
        delta = made.delta(before, after)
        assert delta is not None
        split = shares(delta, before.processes, after.processes, partial(attribution.identify, device=device))
        book_delta(counters, device, delta, split, at_ns=after.at_ns)
    readings = {reading.run: reading for reading in counters.moved()}
    burn = readings["burn"]
    assert (burn.method, burn.dtype, burn.flop, burn.flop_low) == ("cpu-time", "fp32", None, 0)
    assert sum(reading.busy_ns or 0 for reading in readings.values()) == delta.busy_ns
    assert sum(reading.observed_ns or 0 for reading in readings.values()) == delta.observed_ns
    assert burn.busy_ns is not None
    assert burn.busy_ns >= 50_000_000
    assert device.units is not None
    assert device.flop_per_s_max is not None
    assert burn.flop_high * 10**9 >= burn.busy_ns * (device.flop_per_s_max // device.units)


def test_counters_outlive_the_agent_and_so_do_the_names_of_processes() -> None:
    first, _ = backend()
    (device,) = first.devices()
    with child(BUSY, FLOPLEDGER_RUN_ID="burn") as burning:
        before = first.snapshot(device)
        work(burning, 0.05)
        second, _ = backend()
        after = second.snapshot(device)
        assert use_of(before, burning).key == use_of(after, burning).key
    assert (before.epoch, before.resumable) == (after.epoch, True)
    delta = second.delta(before, after)
    assert delta is not None
    assert (delta.busy_ns or 0) >= 50_000_000


def test_a_process_is_named_by_its_start_in_ticks_since_boot() -> None:
    made, _ = backend()
    with child(IDLE, FLOPLEDGER_RUN_ID="idle") as idle:
        key = use_of(made.snapshot(made.devices()[0]), idle).key
        assert key.started * TICK_NS == started_ns(idle.pid)
    assert key.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def test_a_process_that_ended_is_watched_no_longer() -> None:
    made, _ = backend()
    (device,) = made.devices()
    with child(IDLE, FLOPLEDGER_RUN_ID="idle") as idle:
        assert use_of(made.snapshot(device), idle).key.pid == idle.pid
        idle.communicate()
        assert idle.pid not in {use.key.pid for use in made.snapshot(device).processes}


def test_a_process_just_born_is_looked_at_when_it_is_old_enough() -> None:
    asked: list[int] = []

    def belongs(process: ProcessKey, _: Device) -> bool:
        asked.append(process.pid)
        return process.pid == os.getpid()

    now = {"ns": started_ns(os.getpid()) + 90_000_000}
    made = CpuBackend(belongs, time.time_ns, lambda: now["ns"])
    (device,) = made.devices()
    assert made.snapshot(device).processes == ()
    assert os.getpid() not in asked
    now["ns"] = since_boot_ns()
    assert [use.key.pid for use in made.snapshot(device).processes] == [os.getpid()]
    assert made.snapshot(device).processes
    assert asked.count(os.getpid()) == 1


@dataclass
class Machine:
    """A machine whose clocks and processes are in the test's hand."""

    wall_ns: int = 10**18
    boot_ns: int = 10**15
    busy_ns: int = 0
    processes: dict[int, int] = field(default_factory=dict)

    def passes(self, seconds: int) -> None:
        self.wall_ns += seconds * 10**9
        self.boot_ns += seconds * 10**9

    def snapshot(self) -> Snapshot:
        processes = tuple(ProcessUse(ProcessKey(pid, 1, "boot"), busy_ns) for pid, busy_ns in self.processes.items())
        counters = {BUSY_NS: self.busy_ns, BOOTTIME_NS: self.boot_ns}
        return Snapshot("cpu-1", self.wall_ns, "boot", True, counters, processes)


def delta_of(before: Snapshot, after: Snapshot) -> Delta:
    found = backend()[0].delta(before, after)
    assert found is not None
    return found


@pytest.mark.parametrize("step_s", [-3_600, 0, 3_600])
def test_a_wall_clock_that_is_set_changes_no_amount(step_s: int) -> None:
    machine = Machine()
    before = machine.snapshot()
    machine.passes(5)
    machine.wall_ns += step_s * 10**9
    machine.busy_ns += 3 * 10**9
    delta = delta_of(before, machine.snapshot())
    assert (delta.busy_ns, delta.observed_ns) == (3 * 10**9, 5 * 10**9)
    assert (delta.from_ns, delta.to_ns) == (machine.wall_ns - 5 * 10**9, machine.wall_ns)


def test_no_time_no_delta() -> None:
    one = Machine().snapshot()
    assert backend()[0].delta(one, one) is None


def test_a_machine_was_busy_for_no_less_than_its_processes_were() -> None:
    machine = Machine(processes={1: 0, 2: 10**9})
    before = machine.snapshot()
    machine.passes(1)
    machine.busy_ns += 700_000_000
    machine.processes = {1: 800_000_000, 2: 10**9, 3: 5 * 10**9}
    assert delta_of(before, machine.snapshot()).busy_ns == 800_000_000


def test_busy_time_that_went_back_counts_as_none() -> None:
    machine = Machine(busy_ns=50)
    before = machine.snapshot()
    machine.passes(1)
    machine.busy_ns = 40
    assert delta_of(before, machine.snapshot()).busy_ns == 0
