"""Who is on a device, and whose busy time it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.devices.interface import ProcessKey, ProcessUse
from tests.agent.devices.nvml.machine import BOOT_NS, H100, MS, START_NS, Load, Machine, S, hmma

if TYPE_CHECKING:
    from agent.devices.interface import Device
    from agent.devices.nvml.backend import NvmlBackend

BUSY = [Load(-BOOT_NS, 1755, hmma(500_000))]
BOOT_ID = "0f5c6a6e-boot"


def started(machine: Machine, spec: str = H100) -> tuple[NvmlBackend, Device]:
    machine.gpu(0, spec, BUSY)
    backend, [device] = machine.started()
    return backend, device


def pids(uses: tuple[ProcessUse, ...]) -> list[int]:
    return sorted(use.key.pid for use in uses)


def test_a_process_is_known_by_pid_start_and_boot(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 4711)
    [use] = backend.snapshot(device).processes
    assert use.key == ProcessKey(4711, 777, BOOT_ID)


def test_alone_it_is_busy_whenever_the_device_is(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 4711)
    [first] = backend.snapshot(device).processes
    machine.advance(2 * S)
    [second] = backend.snapshot(device).processes
    assert (first.busy_ns, second.busy_ns) == (0, 1_900 * MS)


def test_several_are_told_apart_by_their_sm_share(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 11, sm=60)
    machine.process("0", 12, sm=20)
    machine.process("0", 13, sm=0)
    backend.snapshot(device)
    for _ in range(5):
        machine.advance(S)
        uses = {use.key.pid: use.busy_ns for use in backend.snapshot(device).processes}
    assert uses == {11: 3 * S, 12: S, 13: 0}


def test_processes_that_did_nothing_yet_are_told_apart_once_they_do(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 11, sm=0)
    machine.process("0", 12, sm=0)
    machine.process("0", 13, from_ns=2 * S, sm=40)
    for at_s in (1, 2, 3):
        machine.at(at_s * S)
        uses = {use.key.pid: use.busy_ns for use in backend.snapshot(device).processes}
    assert uses == {11: 0, 12: 0, 13: 400 * MS}


def test_a_driver_whose_older_call_answers_nothing_is_asked_in_the_newer_way(machine: Machine) -> None:
    """Seen on Blackwell boards."""
    backend, device = started(machine, f"{H100} process_utilization=2")
    machine.process("0", 11, sm=30)
    machine.process("0", 12, sm=70)
    backend.snapshot(device)
    machine.advance(S)
    uses = {use.key.pid: use.busy_ns for use in backend.snapshot(device).processes}
    assert uses == {11: 300 * MS, 12: 700 * MS}


def test_a_driver_that_cannot_tell_several_apart_leaves_their_time_unknown(machine: Machine) -> None:
    backend, device = started(machine, f"{H100} process_utilization=0")
    machine.process("0", 11)
    machine.process("0", 12)
    backend.snapshot(device)
    machine.advance(S)
    uses = backend.snapshot(device).processes
    assert pids(uses) == [11, 12]
    assert [use.busy_ns for use in uses] == [None, None]


def test_churn_is_followed(machine: Machine) -> None:
    backend, device = started(machine)
    for number in range(6):
        machine.process("0", 100 + number, from_ns=(2 + number) * S, to_ns=(4 + number) * S)
    seen = []
    for at_s in range(1, 10):
        machine.at(at_s * S)
        seen.append(pids(backend.snapshot(device).processes))
    assert seen == [[], [100], [100, 101], [101, 102], [102, 103], [103, 104], [104, 105], [105], []]


def test_a_pid_that_was_given_to_another_process_is_another_key(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 4711)
    [before] = backend.snapshot(device).processes
    machine.entry(4711, started=999)
    machine.advance(5 * S)
    [after] = backend.snapshot(device).processes
    assert before.key.started == 777
    assert after.key.started == 999
    assert after.busy_ns == 0


def test_a_pid_that_left_the_device_and_came_back_is_looked_at_anew(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 4711, to_ns=2 * S)
    [before] = backend.snapshot(device).processes
    machine.at(2 * S)
    assert backend.snapshot(device).processes == ()
    machine.run(f"process 0 4711 from={START_NS + 3 * S}")
    machine.entry(4711, started=999)
    machine.at(3 * S)
    [after] = backend.snapshot(device).processes
    assert (before.key.started, after.key.started) == (777, 999)


def test_garbage_in_the_list_is_left_out_and_told(machine: Machine) -> None:
    """A library and a driver that disagree about a structure's size scramble the list."""
    backend, device = started(machine, f"{H100} garbage=6")
    machine.process("0", 4711)
    for impossible in (0, 0x7FFF0000, 0x7FFF0002):  # whatever /proc shows under such a number
        machine.entry(impossible)
    assert pids(backend.snapshot(device).processes) == [4711]
    assert any("4 processes are not visible" in line for line in backend.notices)


def test_a_pid_of_another_namespace_is_left_out_and_told(machine: Machine) -> None:
    backend, device = started(machine)
    machine.run(f"process 0 31337 from={START_NS}")
    [hidden] = backend.snapshot(device).processes
    assert hidden.key.hidden
    assert any("31337" in line and "share the host's PIDs" in line for line in backend.notices)


def test_more_processes_than_anyone_expected_are_all_seen(machine: Machine) -> None:
    backend, device = started(machine)
    for pid in range(1_000, 1_200):
        machine.process("0", pid, sm=0)
    assert pids(backend.snapshot(device).processes) == list(range(1_000, 1_200))


@pytest.mark.parametrize("code", [3, 4])
def test_a_driver_that_will_not_tell_who_is_there_still_counts(machine: Machine, code: int) -> None:
    machine.run(f"gpu 0 uuid=GPU-0 from={START_NS - BOOT_NS} {H100}", BUSY[0].line("0"))
    machine.run(f"fail 0 nvmlDeviceGetComputeRunningProcesses_v3 code={code}")
    machine.process("0", 4711)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.advance(S)
    after = backend.snapshot(device)
    delta = backend.delta(before, after)
    [hidden] = after.processes
    assert hidden.key.hidden
    assert delta is not None
    assert delta.cycles.tensor
    assert any("does not say which processes" in line for line in backend.notices)


def test_only_garbage_hides_nobody(machine: Machine) -> None:
    backend, device = started(machine, f"{H100} garbage=6")
    assert backend.snapshot(device).processes == ()


def test_who_is_hidden_from_one_agent_is_not_who_is_hidden_from_the_next(machine: Machine) -> None:
    first, device = started(machine)
    machine.run(f"process 0 31337 from={START_NS}")
    before = first.snapshot(device)
    machine.advance(3_600 * S)
    second, [device] = machine.started()
    assert before.processes != second.snapshot(device).processes


def test_the_clients_of_an_mps_server_are_there_and_nobody_knows_who_did_how_much(machine: Machine) -> None:
    backend, device = started(machine)
    machine.process("0", 4711)
    (machine.proc / "4711" / "comm").write_text("nvidia-cuda-mps\n")
    for client in (11, 12):
        machine.process("0", client, sm=40)
        machine.run(f"process 0 {client} from={START_NS} mps=1")
    machine.run(f"process 0 13 from={START_NS} mps=1")
    machine.entry(13)
    machine.advance(S)
    uses = backend.snapshot(device).processes
    assert pids(uses) == [11, 12, 13]
    assert {use.busy_ns for use in uses} == {None}
