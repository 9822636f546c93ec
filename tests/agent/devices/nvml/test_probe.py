"""What a device can be measured by, and why not better."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.devices.interface import Method
from tests.agent.devices.nvml.machine import A100, BOOT_NS, H100, MS, Load, Machine, S, hmma

if TYPE_CHECKING:
    from pathlib import Path

    from agent.devices.interface import Capability

BUSY = [Load(-BOOT_NS, 1755, hmma(500_000))]


def capabilities(machine: Machine, spec: str = H100) -> dict[Method, Capability]:
    machine.gpu(0, spec, BUSY)
    backend, [device] = machine.started()
    found = backend.capabilities(device)
    assert [capability.method for capability in found] == [Method.GPM_CYCLES, Method.GPM, Method.BUSY]
    assert all(bool(capability.reason) != capability.available for capability in found)
    return {capability.method: capability for capability in found}


def test_a_new_driver_on_hopper_offers_everything(machine: Machine) -> None:
    assert all(capability.available for capability in capabilities(machine).values())


def test_all_new_devices_share_two_short_waits(machine: Machine) -> None:
    for index in range(8):
        machine.gpu(index, H100, BUSY)
    machine.started()
    assert machine.waited_ns == [250 * MS, 250 * MS]


def test_a_driver_without_cycle_counters_still_has_gpm(machine: Machine) -> None:
    found = capabilities(machine, H100.replace("counters=sum", "counters=none"))
    assert found[Method.GPM].available
    assert "driver 595.45.04 does not know the cycle counters" in found[Method.GPM_CYCLES].reason
    assert "NVML 13.2.1" in found[Method.GPM_CYCLES].reason


def test_an_older_gpu_is_sent_to_dcgm_exporter(machine: Machine) -> None:
    found = capabilities(machine, A100)
    assert "dcgm-exporter" in found[Method.GPM].reason
    assert found[Method.BUSY].available


@pytest.mark.parametrize("call", ["nvmlGpmQueryDeviceSupport", "nvmlGpmSampleGet", "nvmlGpmMetricsGet"])
def test_a_missing_permission_is_named_whichever_call_it_is_missing_for(machine: Machine, call: str) -> None:
    machine.run(f"fail * {call} code=4")
    found = capabilities(machine)
    assert "no permission: run the agent as root" in found[Method.GPM].reason
    assert "no permission" in found[Method.GPM_CYCLES].reason
    assert found[Method.BUSY].available


def test_support_that_is_stated_and_not_given_is_found_out(machine: Machine) -> None:
    machine.run("fail * nvmlGpmSampleGet code=3")
    assert "Hopper" in capabilities(machine)[Method.GPM].reason


def test_gpm_without_tensor_activity_is_of_no_use(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.run("metric 0 5 code=3")
    backend, [device] = machine.started()
    assert "no tensor activity" in backend.capabilities(device)[1].reason


def test_without_a_clock_percentages_cannot_become_cycles(machine: Machine) -> None:
    assert "SM clock cannot be read" in capabilities(machine, f"{H100} sm_clock=0")[Method.GPM].reason


def test_without_an_sm_count_percentages_cannot_become_cycles(machine: Machine) -> None:
    spec = "name=NVIDIA_Rubin cc=42.0 cores=9999 clock_max=3000 counters=sum sms=1"
    assert "how many SMs" in capabilities(machine, spec)[Method.GPM].reason


@pytest.mark.parametrize(
    "missing",
    [
        ["nvmlGpmQueryDeviceSupport", "nvmlGpmSampleAlloc", "nvmlGpmSampleGet", "nvmlGpmMetricsGet"],
        ["nvmlGpmMetricsGet"],
        ["nvmlGpmSampleGet"],
    ],
)
def test_a_driver_from_before_gpm_says_so(tmp_path: Path, machine: Machine, missing: list[str]) -> None:
    old = Machine(tmp_path / "old", missing)
    try:
        found = capabilities(old)
        assert "has no GPM: update" in found[Method.GPM].reason
        assert found[Method.BUSY].available
    finally:
        old.close()


@pytest.mark.parametrize(
    "missing",
    [
        "nvmlDeviceGetSamples",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetTotalEnergyConsumption",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetNumGpuCores",
        "nvmlDeviceGetSerial",
        "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetProcessUtilization",
    ],
)
def test_any_other_missing_symbol_costs_only_what_it_gave(tmp_path: Path, machine: Machine, missing: str) -> None:
    old = Machine(tmp_path / "old", [missing])
    try:
        old.gpu(0, H100, BUSY)
        for pid in (11, 12):
            old.process("0", pid)
        backend, [device] = old.started()
        before = backend.snapshot(device)
        old.advance(S)
        delta = backend.delta(before, backend.snapshot(device))
        assert delta is not None
        assert delta.method is Method.GPM_CYCLES
        assert delta.cycles.tensor == 132 * 1755 * 500_000
    finally:
        old.close()


def test_a_passing_trouble_does_not_brand_a_device(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.run("fail 0 nvmlGpmSampleGet code=10 to=1790000000900000000")
    backend = machine.backend()
    assert list(backend.devices()) == []
    assert any("timed out" in line for line in backend.notices)
    machine.at(2 * S)
    [device] = backend.devices()
    assert backend.capabilities(device)[0].available


def test_a_device_that_nothing_measures_is_listed_with_the_reasons(machine: Machine) -> None:
    machine.run("fail * nvmlDeviceGetUtilizationRates code=3")
    machine.gpu(0, A100.replace("utilization_samples_ns=166666667", ""), BUSY)
    backend, [device] = machine.started()
    assert [capability.available for capability in backend.capabilities(device)] == [False] * 3
    with pytest.raises(Exception, match="utilisation: not supported"):
        backend.snapshot(device)
