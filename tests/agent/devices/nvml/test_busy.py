"""Method `busy`: an upper bound of busy time, and no point."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.devices.interface import Method
from compute.cycles import Cycles
from tests.agent.devices.nvml.machine import A100, BOOT_NS, MS, PPM, START_NS, Load, Machine, S, node

if TYPE_CHECKING:
    from agent.devices.interface import Delta, Device, Snapshot
    from agent.devices.nvml.backend import NvmlBackend

POLLED = A100.replace("utilization_samples_ns=166666667", "")


def started(machine: Machine, loads: list[Load], spec: str = A100) -> tuple[NvmlBackend, Device, Snapshot]:
    machine.gpu(0, spec, loads)
    backend, [device] = machine.started()
    return backend, device, backend.snapshot(device)


def difference(backend: NvmlBackend, before: Snapshot, after: Snapshot) -> Delta:
    delta = backend.delta(before, after)
    assert delta is not None
    return delta


def busy(ppm: int) -> dict[str, int]:
    return {"gr": ppm, "sm": ppm, "tensor": ppm // 2}


def truly_busy_ns(loads: list[Load], from_ns: int, to_ns: int) -> Fraction:
    total = Fraction(0)
    for load, following in zip(loads, [*loads[1:], None], strict=True):
        end = to_ns if following is None else min(following.at_ns, to_ns)
        total += Fraction(max(end - max(load.at_ns, from_ns), 0) * load.ppm.get("gr", 0), PPM)
    return total


def test_busy_time_is_told_and_no_cycle_is(machine: Machine) -> None:
    backend, device, before = started(machine, [Load(-BOOT_NS, 1410, busy(400_000))])
    machine.advance(10 * S)
    delta = difference(backend, before, backend.snapshot(device))
    assert delta.method is Method.BUSY
    assert delta.cycles == Cycles()
    assert delta.busy_ns is not None
    assert delta.busy_ns * 100 == delta.observed_ns * 41
    assert abs(delta.observed_ns - 10 * S) < S // 6
    assert delta.clock_mhz == (1410, 1410, 1410)
    assert delta.energy_mj is not None
    assert not before.resumable


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_busy_time_is_never_understated(data: st.DataObject) -> None:
    loads, at_ns = [Load(-BOOT_NS, 210)], 0
    for _ in range(data.draw(st.integers(1, 20))):
        loads.append(Load(at_ns, 1410, busy(data.draw(st.just(0) | st.integers(1, PPM)))))
        at_ns += data.draw(st.integers(MS, 3 * S))
    with node() as machine:
        backend, device, before = started(machine, loads)
        for _ in range(8):
            machine.advance(data.draw(st.integers(120 * MS, 9 * S)))
            after = backend.snapshot(device)
            delta = backend.delta(before, after)
            if delta is None:
                continue
            assert delta.busy_ns is not None
            true = truly_busy_ns(loads, delta.from_ns - START_NS, delta.to_ns - START_NS)
            assert delta.observed_ns == delta.to_ns - delta.from_ns
            assert delta.busy_ns >= true
            assert delta.busy_ns <= true + delta.observed_ns // 50 + S // 6
            before = after


def test_without_a_new_sample_the_same_reading_is_served(machine: Machine) -> None:
    backend, device, _ = started(machine, [Load(-BOOT_NS, 1410)], f"{POLLED} utilization_samples_ns={2 * S}")
    machine.at(2 * S)
    before = backend.snapshot(device)
    machine.advance(S)
    assert backend.snapshot(device) is before


def test_samples_that_the_ring_lost_are_not_observed(machine: Machine) -> None:
    backend, device, before = started(machine, [Load(-BOOT_NS, 1410, busy(PPM))])
    machine.advance(60 * S)
    delta = difference(backend, before, backend.snapshot(device))
    assert 16 * S < delta.observed_ns < 18 * S  # a hundred samples of a sixth of a second, and one second of the hole
    assert "samples-lost" in delta.flags


def test_polled_utilisation_speaks_for_its_own_period_only(machine: Machine) -> None:
    """Between two polls a GPU may have done anything: that time is a gap with its upper bound, not idle."""
    backend, device, before = started(machine, [Load(-BOOT_NS, 1410, busy(0))], POLLED)
    machine.advance(S)
    delta = difference(backend, before, backend.snapshot(device))
    assert delta.to_ns - delta.from_ns == S
    assert delta.observed_ns == S // 6
    assert delta.busy_ns == -(-(S // 6) // 100)
    assert "utilisation-polled" in delta.flags
