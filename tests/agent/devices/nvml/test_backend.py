"""The whole node: no GPU, many, lost ones, hanging ones, a driver that goes away."""

from __future__ import annotations

import threading

import pynvml
import pytest

from agent.devices.interface import Device, Method
from agent.devices.nvml.errors import NO_DRIVER
from agent.errors import Fatal, Retry, SkipDevice
from compute.accelerators import table
from tests.agent.devices.nvml.machine import BOOT_NS, H100, START_NS, Load, Machine, S, hmma

BUSY = [Load(-BOOT_NS, 1755, hmma(500_000))]
SOON_S = 0.2


def test_a_node_without_a_driver_has_no_devices_and_says_why(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", nowhere)
    backend, devices = machine.started()
    assert devices == []
    assert backend.notices == (NO_DRIVER,)
    gpu = Device("GPU-0", "gpu", "gone", None, None, None)
    assert not any(capability.available for capability in backend.capabilities(gpu))
    with pytest.raises(SkipDevice):
        backend.snapshot(gpu)


def test_a_driver_without_gpus_has_no_devices(machine: Machine) -> None:
    backend, devices = machine.started()
    assert devices == []
    assert backend.notices == ()


def test_a_hundred_and_twenty_eight_gpus_are_all_counted(machine: Machine) -> None:
    for index in range(128):
        machine.gpu(index, H100, BUSY)
    backend, devices = machine.started()
    assert len(devices) == 128
    before = {device.id: backend.snapshot(device) for device in devices}
    machine.advance(S)
    for device in devices:
        delta = backend.delta(before[device.id], backend.snapshot(device))
        assert delta is not None
        assert delta.cycles.tensor == 132 * 1755 * 500_000


def test_a_known_device_is_its_row_and_an_unknown_one_a_bound_with_a_warning(machine: Machine) -> None:
    machine.gpu(0, H100)
    machine.gpu(1, "name=NVIDIA_Rubin cc=12.5 cores=12800 clock_max=3000 counters=none gpm=0")
    backend, [known, unknown] = machine.started()
    row = table()["H100 SXM5 80GB"]
    assert (known.accelerator, known.units, known.flop_per_s_max) == (row.name, 132, row.flop_per_s_max)
    assert unknown.accelerator is None
    assert unknown.units == 100
    assert unknown.flop_per_s_max == max(one.flop_per_cycle_max for one in table().values()) * 100 * 3_000 * 10**6
    assert any("NVIDIA Rubin" in line and "upper bounds only" in line for line in backend.notices)


def test_one_gpu_without_permission_leaves_the_others(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.gpu(1, H100, BUSY)
    machine.run("fail 0 nvmlDeviceGetUUID code=4")
    backend, devices = machine.started()
    assert [device.id for device in devices] == ["GPU-1"]
    assert any(line.startswith("GPU 0: no permission") for line in backend.notices)


def test_a_permission_that_is_revoked_skips_the_device_until_it_is_given_back(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.run(f"fail 0 * code=4 from={START_NS + S} to={START_NS + 30 * S}")
    for at_s in (2, 3, 15):
        machine.at(at_s * S)
        with pytest.raises(SkipDevice):
            backend.snapshot(device)
    machine.at(40 * S)
    after = backend.snapshot(device)
    assert after.epoch == before.epoch
    delta = backend.delta(before, after)
    assert delta is not None
    assert delta.observed_ns == after.at_ns - before.at_ns


def test_a_lost_gpu_starts_a_new_epoch_when_it_comes_back(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.gpu(1, H100, BUSY)
    backend, [lost, other] = machine.started()
    before = backend.snapshot(lost)
    machine.run(f"fail 0 * code=15 from={START_NS + S} to={START_NS + 60 * S}")
    machine.at(2 * S)
    with pytest.raises(SkipDevice, match="fell off the bus"):
        backend.snapshot(lost)
    assert backend.snapshot(other).device == "GPU-1"
    assert [device.id for device in backend.devices()] == ["GPU-1", "GPU-0"]
    assert {way.available for way in backend.capabilities(lost)} == {False}
    assert all("fell off the bus" in way.reason for way in backend.capabilities(lost))
    with pytest.raises(SkipDevice, match="fell off the bus") as raised:
        backend.snapshot(lost)
    assert raised.value.lost
    assert any("fell off the bus" in line for line in backend.notices)
    machine.run(f"reset 0 {START_NS + 61 * S}")
    machine.at(120 * S)
    assert [device.id for device in backend.devices()] == ["GPU-1", "GPU-0"]
    assert backend.snapshot(lost).epoch != before.epoch


def test_a_driver_that_goes_away_is_retried_and_initialised_again(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.run(f"fail * * code=9 from={START_NS + S} to={START_NS + 20 * S}")
    machine.at(2 * S)
    with pytest.raises(Retry, match="kernel module is not loaded"):
        backend.snapshot(device)
    with pytest.raises(Retry):
        backend.devices()
    (machine.sys / "module/nvidia").rename(machine.sys / "module/before")
    (machine.sys / "module/nvidia").mkdir()
    machine.at(30 * S)
    [device] = backend.devices()
    assert backend.snapshot(device).epoch != before.epoch


def test_a_container_that_lost_its_devices_starts_afresh(machine: Machine) -> None:
    """After a cgroup change every call says "Unknown Error", until NVML is initialised again."""
    machine.gpu(0, H100, BUSY)
    backend, [device] = machine.started()
    initialised = len(machine.waited_ns)
    machine.run(f"fail 0 * code=999 from={START_NS + S} to={START_NS + 20 * S}")
    machine.at(2 * S)
    with pytest.raises(Retry, match="access may have been revoked"):
        backend.snapshot(device)
    assert [found.id for found in backend.devices()] == ["GPU-0"]
    assert not any(way.available for way in backend.capabilities(device))
    machine.at(40 * S)
    assert any(way.available for found in backend.devices() for way in backend.capabilities(found))
    assert [found.id for found in backend.devices()] == ["GPU-0"]
    assert len(machine.waited_ns) > initialised


def test_a_call_that_never_returns_costs_its_device_and_not_the_agent(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.gpu(1, H100, BUSY)
    backend = machine.backend(SOON_S)
    [stuck, other] = backend.devices()
    before = backend.snapshot(other)
    stuck_before = backend.snapshot(stuck)
    machine.run(f"hang 0 nvmlGpmSampleGet from={START_NS + S} to={START_NS + 10 * S}")
    machine.at(2 * S)
    after = backend.snapshot(other)
    delta = backend.delta(before, after)
    assert delta is not None
    assert delta.observed_ns == after.at_ns - before.at_ns
    with pytest.raises(SkipDevice, match=r"did not return in 0\.2 s"):
        backend.snapshot(stuck)
    assert [device.id for device in backend.devices()] == ["GPU-0", "GPU-1"]
    machine.at(20 * S)
    with pytest.raises(SkipDevice, match="has not returned"):
        backend.snapshot(stuck)
    hanging = next(thread for thread in threading.enumerate() if thread.name == "nvml")
    machine.library.scripted_release()
    hanging.join(5)
    machine.at(30 * S)
    back = backend.snapshot(stuck)
    resumed = backend.delta(stuck_before, back)
    assert resumed is not None
    assert resumed.observed_ns == back.at_ns - stuck_before.at_ns


def test_an_initialisation_that_hangs_is_retried(machine: Machine) -> None:
    machine.run("hang * nvmlInitWithFlags")
    backend = machine.backend(SOON_S)
    with pytest.raises(Retry, match="did not return"):
        backend.devices()


def test_a_gpu_that_hangs_from_the_start_leaves_the_others(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.gpu(1, H100, BUSY)
    machine.run("hang 0 nvmlDeviceGetUUID")
    backend = machine.backend(SOON_S)
    assert [device.id for device in backend.devices()] == ["GPU-1"]
    assert any("GPU 0: an NVML call did not return" in line for line in backend.notices)


def test_hot_plugged_gpus_appear_and_the_others_keep_their_counters(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.advance(S)
    machine.gpu(1, H100, BUSY)
    assert [found.id for found in backend.devices()] == ["GPU-0", "GPU-1"]
    after = backend.snapshot(device)
    assert after.epoch == before.epoch


def test_one_hand_over_reads_every_device_of_a_tick(machine: Machine) -> None:
    for index in range(4):
        machine.gpu(index, H100, BUSY)
    backend, devices = machine.started()
    machine.advance(S)
    rounds: list[int] = []
    run_all = backend._watchdog.run_all

    def counted(jobs: dict[str, object]) -> object:
        rounds.append(len(jobs))
        return run_all(jobs)  # type: ignore[arg-type]

    backend._watchdog.run_all = counted  # type: ignore[assignment, method-assign]
    instants = {backend.snapshot(device).at_ns for device in devices}
    assert rounds == [4]
    assert len(instants) == 1


def test_a_driver_replaced_under_the_agent_is_fatal(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    backend, [device] = machine.started()
    machine.run(f"fail * * code=18 from={START_NS + S}")
    machine.at(2 * S)
    with pytest.raises(Retry):
        backend.snapshot(device)
    with pytest.raises(Fatal, match="restart the agent"):
        backend.devices()


def test_methods_of_a_device_are_best_first(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    backend, [device] = machine.started()
    assert [capability.method for capability in backend.capabilities(device)] == [
        Method.GPM_CYCLES,
        Method.GPM,
        Method.BUSY,
    ]


def test_closing_twice_is_closing(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    backend, _ = machine.started()
    backend.close()
    backend.close()
