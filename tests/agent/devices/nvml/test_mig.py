"""MIG: one device per GPU instance, by MIG UUID."""

from __future__ import annotations

import pytest

from agent.devices.interface import Method
from tests.agent.devices.nvml.machine import BOOT_NS, H100, START_NS, Load, Machine, S, hmma

PARENT = f"{H100} mig=1"
BOOT = START_NS - BOOT_NS
LOAD = Load(-BOOT_NS, 1755, hmma(500_000))


def instance(machine: Machine, slot: int, uuid: str, sms: int = 16, pairs: str = "") -> None:
    machine.run(
        f"mig 0.{slot} uuid={uuid} gi={slot + 3} ci=0 sms={sms} energy=0 counters=sum from={BOOT} {pairs}",
        LOAD.line(f"0.{slot}"),
    )


def test_instances_are_devices_and_their_gpu_is_not(machine: Machine) -> None:
    machine.gpu(0, PARENT)
    instance(machine, 0, "MIG-a", sms=60)
    instance(machine, 1, "MIG-b", sms=16)
    backend, devices = machine.started()
    assert [device.id for device in devices] == ["MIG-a", "MIG-b"]
    assert {(device.kind, device.parent, device.accelerator) for device in devices} == {
        ("mig", "GPU-0", "H100 SXM5 80GB")
    }
    assert [device.units for device in devices] == [60, 16]
    assert devices[0].flop_per_s_max == (8192 + 512) * 60 * 1980 * 10**6
    before = {device.id: backend.snapshot(device) for device in devices}
    machine.advance(S)
    for device in devices:
        delta = backend.delta(before[device.id], backend.snapshot(device))
        assert delta is not None
        assert delta.method is Method.GPM_CYCLES
        assert delta.cycles.tensor == (device.units or 0) * 1755 * 500_000
        assert delta.energy_mj is None


def test_an_instance_without_a_compute_instance_is_left_out(machine: Machine) -> None:
    machine.gpu(0, PARENT)
    instance(machine, 0, "MIG-a")
    instance(machine, 1, "MIG-b", pairs="ci=-1")
    _, devices = machine.started()
    assert [device.id for device in devices] == ["MIG-a"]


def test_a_partitioned_gpu_without_instances_has_nothing_to_measure(machine: Machine) -> None:
    machine.gpu(0, PARENT)
    _, devices = machine.started()
    assert devices == []


def test_compute_instances_of_one_gpu_instance_are_measured_once(machine: Machine) -> None:
    """GPM sums over them: as two devices the same work would count twice."""
    machine.gpu(0, PARENT)
    instance(machine, 0, "MIG-a", sms=30, pairs="gi=2 ci=0")
    instance(machine, 1, "MIG-b", sms=30, pairs="gi=2 ci=1")
    machine.process("0.0", 11)
    machine.process("0.1", 12)
    backend, devices = machine.started()
    [device] = devices
    assert (device.id, device.units) == ("MIG-a", 60)
    assert sorted(use.key.pid for use in backend.snapshot(device).processes) == [11, 12]


def test_the_parents_clock_serves_where_an_instance_has_none(machine: Machine) -> None:
    machine.gpu(0, PARENT, [LOAD])
    instance(machine, 0, "MIG-a", pairs="sm_clock=0")
    backend, [device] = machine.started()
    assert backend.capabilities(device)[0].available


def test_where_the_instances_own_handle_gives_no_sample_the_parent_does(machine: Machine) -> None:
    machine.gpu(0, PARENT)
    instance(machine, 0, "MIG-a")
    machine.run("fail 0.0 nvmlGpmSampleGet code=3")
    backend, [device] = machine.started()
    assert backend.capabilities(device)[0].available


@pytest.mark.parametrize("noticed_by", ["scan", "sample"])
def test_an_instance_made_anew_under_the_same_uuid_is_another_epoch(machine: Machine, noticed_by: str) -> None:
    machine.gpu(0, PARENT)
    born_ns = START_NS + 10 * S
    instance(machine, 0, "MIG-a", pairs=f"to={born_ns}")
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.run(
        f"mig 0.0 uuid=MIG-a gi=3 ci=0 sms=16 counters=sum from={born_ns}",
        LOAD.line("0.0"),
    )
    machine.at(60 * S)
    if noticed_by == "scan":
        [device] = backend.devices()
    else:
        with pytest.raises(Exception, match="no longer knows this device"):
            backend.snapshot(device)
        machine.advance(20 * S)
    after = backend.snapshot(device)
    assert after.device == before.device
    assert after.epoch != before.epoch


def test_instances_come_and_go(machine: Machine) -> None:
    machine.gpu(0, PARENT)
    instance(machine, 0, "MIG-a", pairs=f"to={START_NS + 10 * S}")
    backend, _ = machine.started()
    machine.at(20 * S)
    machine.run(f"mig 0.0 uuid=MIG-b gi=3 ci=0 sms=32 counters=sum from={START_NS + 10 * S}", LOAD.line("0.0"))
    assert [device.id for device in backend.devices()] == ["MIG-b"]
    assert backend.locate("GPU-0", 3) == backend.devices()[0]
    assert backend.locate("GPU-0", 4) is None
