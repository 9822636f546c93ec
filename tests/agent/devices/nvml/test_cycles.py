"""Method `gpm-cycles`: the hardware's own counters, calibrated on the device, good across restarts of the agent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.devices import counters
from agent.devices.interface import Method
from agent.devices.nvml.samples import LONGEST_NS
from agent.errors import SkipDevice
from compute.cycles import executed
from compute.precision import Dtype
from tests.agent.devices.nvml.machine import BOOT_NS, H100, MS, START_NS, Load, Machine, S, hmma, node, truth
from tests.agent.devices.nvml.test_gpm import H100_ROW, true_flop, workloads

if TYPE_CHECKING:
    from agent.devices.interface import Capability, Delta, Device, Snapshot
    from agent.devices.nvml.backend import NvmlBackend

MARGIN_PPM = 20_000
BUSY = [Load(-BOOT_NS, 1755, hmma(500_000))]
IDLE = [Load(-BOOT_NS, 345)]


def started(machine: Machine, loads: list[Load], spec: str = H100) -> tuple[NvmlBackend, Device, Snapshot]:
    machine.gpu(0, spec, loads)
    backend, [device] = machine.started()
    return backend, device, backend.snapshot(device)


def difference(backend: NvmlBackend, before: Snapshot, after: Snapshot) -> Delta:
    delta = backend.delta(before, after)
    assert delta is not None
    return delta


def best(backend: NvmlBackend, device: Device) -> Capability:
    return backend.capabilities(device)[0]


def stored(snapshot: Snapshot) -> Snapshot:
    """What the outbox keeps of it."""
    return replace(snapshot, handle=None)


@pytest.mark.parametrize("normalised", ["sum", "per-sm", "sum apart=1"])
def test_both_ways_of_counting_give_cycles_summed_over_sms(machine: Machine, normalised: str) -> None:
    backend, device, before = started(machine, BUSY, H100.replace("counters=sum", f"counters={normalised}"))
    machine.advance(S)
    delta = difference(backend, before, backend.snapshot(device))
    assert delta.method is Method.GPM_CYCLES
    assert delta.cycles.sm == 132 * 1755 * 1_000_000
    assert delta.cycles.tensor == 132 * 1755 * 500_000
    assert delta.busy_ns == 950 * MS
    assert delta.flags == frozenset()


def test_the_epoch_tells_the_two_ways_apart(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.gpu(1, H100.replace("counters=sum", "counters=per-sm"), BUSY)
    backend, devices = machine.started()
    summed, per_sm = (backend.snapshot(device).epoch for device in devices)
    assert summed.endswith("gpm-cycles:summed:0")
    assert per_sm.endswith("gpm-cycles:per-sm:0")


def test_no_tenth_of_a_second_of_refresh_confuses_the_calibration(machine: Machine) -> None:
    backend, device, _ = started(machine, BUSY, f"{H100} refresh_ns={100 * MS}")
    assert best(backend, device).available


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("metric 0 250 offset=1e12", "not what they seem"),
        ("metric 0 5 offset=2.0", "52.00 %"),
        ("metric 0 5 offset=-2.0", "48.00 %"),
    ],
)
def test_counters_that_disagree_with_the_percentage_are_refused(machine: Machine, lie: str, reason: str) -> None:
    machine.gpu(0, H100, BUSY)
    machine.run(f"{lie} from={START_NS + 400 * MS}")
    backend, [device] = machine.started()
    assert not best(backend, device).available
    assert reason in best(backend, device).reason
    before = backend.snapshot(device)
    machine.advance(S)
    assert difference(backend, before, backend.snapshot(device)).method is Method.GPM


def test_half_a_point_of_disagreement_is_accepted(machine: Machine) -> None:
    machine.gpu(0, H100, BUSY)
    machine.run("metric 0 5 offset=0.9")
    backend, [device] = machine.started()
    assert best(backend, device).available


def test_counters_of_the_interval_only_are_never_taken_for_counters_since_reset(machine: Machine) -> None:
    backend, device, before = started(machine, BUSY, H100.replace("counters=sum", "counters=d"))
    for _ in range(30):
        machine.advance(S)
        after = backend.snapshot(device)
        assert after.epoch == before.epoch
    assert not best(backend, device).available
    assert difference(backend, before, after).method is Method.GPM


def test_elapsed_cycles_that_fit_neither_way_are_refused(machine: Machine) -> None:
    backend, device, _ = started(machine, BUSY, H100.replace("sms=132", "sms=20"))
    for _ in range(25):
        machine.advance(S)
        backend.snapshot(device)
    assert "neither one SM's nor all 132's" in best(backend, device).reason


def test_a_check_that_fails_under_load_hands_over_to_gpm(machine: Machine) -> None:
    """At idle both sides are zero, and every wrong normalisation passes."""
    backend, device, _ = started(machine, [*IDLE, Load(2 * S, 1755, hmma(500_000))])
    machine.run(f"metric 0 250 offset=1e12 from={START_NS + 2 * S}")
    machine.advance(S)
    idle = backend.snapshot(device)
    assert best(backend, device).available
    machine.advance(S)
    refused = backend.snapshot(device)
    assert refused.epoch != idle.epoch
    assert not best(backend, device).available
    machine.advance(S)
    delta = difference(backend, refused, backend.snapshot(device))
    assert delta.method is Method.GPM
    assert delta.cycles.tensor == 132 * 1755 * 500_000


def test_the_first_interval_after_the_hand_over_is_not_given_older_clock_samples(machine: Machine) -> None:
    loads = [Load(-BOOT_NS, 600), Load(2_500 * MS, 1755, hmma(500_000))]
    backend, device, _ = started(machine, loads, f"{H100} clock_samples_ns={50 * MS}")
    machine.run(f"metric 0 250 offset=1e12 from={START_NS + 3 * S} to={START_NS + 3 * S + 1}")
    machine.at(2 * S)
    backend.snapshot(device)
    machine.at(3 * S)
    refused = backend.snapshot(device)
    machine.at(4 * S)
    delta = difference(backend, refused, backend.snapshot(device))
    assert delta.method is Method.GPM
    assert delta.clock_mhz == (1755, 1755, 1755)
    assert delta.cycles.tensor == 132 * 1755 * 500_000


def test_until_the_check_was_passed_under_load_the_delta_says_so(machine: Machine) -> None:
    backend, device, before = started(machine, [*IDLE, Load(2 * S, 1755, hmma(500_000))])
    machine.advance(S)
    idle = backend.snapshot(device)
    assert "unverified" in difference(backend, before, idle).flags
    machine.advance(2 * S)
    loaded = backend.snapshot(device)
    assert difference(backend, idle, loaded).flags == frozenset()


def test_counters_that_stand_still_at_idle_are_calibrated_once_the_gpu_works(machine: Machine) -> None:
    backend, device, _ = started(machine, [*IDLE, Load(5 * S, 1755, hmma(500_000))], f"{H100} gated=1")
    assert "stand still" in best(backend, device).reason
    machine.advance(S)
    assert backend.snapshot(device).epoch.split(":")[-2] == "gpm"
    for at_s in range(3, 10):
        machine.at(at_s * S)
        backend.snapshot(device)
    assert best(backend, device).available
    before = backend.snapshot(device)
    machine.advance(S)
    delta = difference(backend, before, backend.snapshot(device))
    assert delta.method is Method.GPM_CYCLES
    assert delta.cycles.tensor == 132 * 1755 * 500_000


def test_an_hour_without_an_agent_is_read_off_the_hardware(machine: Machine) -> None:
    backend, _, before = started(machine, BUSY)
    backend.close()
    machine.advance(3_600 * S)
    restarted, [device] = machine.started()
    after = restarted.snapshot(device)
    assert before.resumable
    delta = difference(restarted, stored(before), after)
    down_ns = after.at_ns - before.at_ns
    assert delta.observed_ns == down_ns
    assert delta.cycles.tensor == 132 * 1755 * down_ns // 2_000
    assert delta.clock_mhz is None
    assert delta.busy_ns is None
    assert delta.energy_mj == down_ns // 2_000


def test_a_reset_that_is_seen_starts_an_epoch(machine: Machine) -> None:
    backend, device, before = started(machine, BUSY)
    machine.run(f"reset 0 {START_NS + machine.now_ns + S}")
    machine.advance(2 * S)
    with pytest.raises(SkipDevice, match="reset between"):
        backend.snapshot(device)
    machine.advance(S)
    after = backend.snapshot(device)
    assert after.epoch != before.epoch
    machine.advance(S)
    assert difference(backend, after, backend.snapshot(device)).cycles.tensor == 132 * 1755 * 500_000


def test_counters_that_go_back_under_running_samples_start_an_epoch(machine: Machine) -> None:
    backend, device, before = started(machine, BUSY)
    machine.run(f"metric 0 248 offset=-1e14 from={START_NS + S}", f"metric 0 250 offset=-5e13 from={START_NS + S}")
    machine.advance(S)
    after = backend.snapshot(device)
    assert after.epoch == before.epoch.removesuffix("0") + "1"
    machine.advance(S)
    assert difference(backend, after, backend.snapshot(device)).cycles.tensor == 132 * 1755 * 500_000


def test_a_counter_that_went_back_unseen_makes_a_gap(machine: Machine) -> None:
    backend, _, before = started(machine, BUSY)
    backend.close()
    machine.advance(40 * S)
    machine.run(f"reset 0 {START_NS + machine.now_ns - 20 * S}")
    restarted, [device] = machine.started()
    after = restarted.snapshot(device)
    assert after.epoch == before.epoch
    delta = difference(restarted, stored(before), after)
    assert delta.observed_ns == 0
    assert delta.cycles.tensor is None
    assert "counters-restarted" in delta.flags


def test_counters_that_restarted_and_overtook_their_old_values_make_a_gap(machine: Machine) -> None:
    machine.run(f"gpu 0 uuid=GPU-0 from={START_NS} {H100}", BUSY[0].line("0"))
    machine.at(60 * S)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    backend.close()
    machine.advance(3_600 * S)
    machine.run(f"reset 0 {START_NS + machine.now_ns - 65 * S}")
    restarted, [device] = machine.started()
    after = restarted.snapshot(device)
    assert all(after.counters[name] >= value for name, value in before.counters.items())
    delta = difference(restarted, stored(before), after)
    assert delta.observed_ns == 0
    assert "counters-restarted" in delta.flags


@pytest.mark.parametrize("change", ["driver", "module", "serial"])
def test_another_driver_another_load_of_it_or_another_board_is_another_epoch(machine: Machine, change: str) -> None:
    backend, _, before = started(machine, BUSY)
    backend.close()
    if change == "driver":
        machine.run("driver 600.10")
    elif change == "module":
        (machine.sys / "module/nvidia").rename(machine.sys / "module/before")
        (machine.sys / "module/nvidia").mkdir()
    else:
        machine.run("set 0 serial=4711")
    restarted, [device] = machine.started()
    assert restarted.snapshot(device).epoch != before.epoch


def test_a_missing_reading_loses_nothing(machine: Machine) -> None:
    backend, device, before = started(machine, [*BUSY, Load(2 * S, 1755, hmma(500_000))])
    machine.run(f"metric 0 252 nan=1 from={START_NS + S} to={START_NS + 3 * S}")
    for at_ns in (1_500 * MS, 2_500 * MS):
        machine.at(at_ns)
        with pytest.raises(SkipDevice, match="no number"):
            backend.snapshot(device)
    machine.at(4 * S)
    delta = difference(backend, before, backend.snapshot(device))
    assert delta.cycles.tensor == 132 * 1755 * 3_500 * 500
    assert delta.observed_ns == 3_500 * MS


@pytest.mark.parametrize("missed", ["unread", "too long"])
def test_the_comparison_is_of_one_and_the_same_interval(machine: Machine, missed: str) -> None:
    """What was not compared at one tick must not be held against the percentage of the next."""
    late_ns = 5 * S if missed == "unread" else 90 * S
    loads = [*IDLE, Load(1_500 * MS, 1755, hmma(900_000)), Load(late_ns, 1755, hmma(100_000))]
    backend, device, before = started(machine, loads)
    if missed == "unread":
        machine.run(f"metric 0 252 nan=1 from={START_NS + 3 * S} to={START_NS + 6 * S}")
        machine.at(5 * S)
        with pytest.raises(SkipDevice):
            backend.snapshot(device)
    machine.at(late_ns + S)
    try:
        backend.snapshot(device)
    except SkipDevice:
        assert missed == "unread"
    machine.at(late_ns + 3 * S)
    delta = difference(backend, before, backend.snapshot(device))
    assert best(backend, device).available
    true = truth(loads, "tensor", 132, 500 * MS, late_ns + 3 * S)
    assert abs((delta.cycles.tensor or 0) - true) <= 1


def test_frozen_counters_on_a_busy_gpu_are_a_gap(machine: Machine) -> None:
    backend, device, before = started(machine, [*BUSY, Load(S, 0, hmma(0))])
    machine.advance(S)
    between = backend.snapshot(device)
    assert difference(backend, before, between).cycles.tensor
    machine.advance(S)
    delta = difference(backend, between, backend.snapshot(device))
    assert delta.observed_ns == 0
    assert "counter-suspect" in delta.flags


def test_a_recorded_trace_of_the_snapshots_gives_the_same_cycles(machine: Machine) -> None:
    backend, device, before = started(machine, BUSY)
    machine.advance(S)
    after = backend.snapshot(device)
    replayed = counters.delta(stored(before), stored(after), Method.GPM_CYCLES)
    lived = difference(backend, before, after)
    assert replayed is not None
    assert (replayed.cycles, replayed.observed_ns, replayed.busy_ns) == (lived.cycles, S, lived.busy_ns)
    assert set(after.counters) <= counters.NAMES


def test_the_internal_refresh_costs_at_most_itself_at_each_end_of_a_run(machine: Machine) -> None:
    loads = [*BUSY, Load(3 * S + 50 * MS, 1200, hmma(900_000)), Load(7 * S, 1900, hmma(100_000))]
    backend, device, first = started(machine, loads, f"{H100} refresh_ns={100 * MS}")
    for at_ms in (777, 1_913, 3_333, 6_001, 7_770, 9_999):
        machine.at(at_ms * MS)
        last = backend.snapshot(device)
    delta = difference(backend, first, last)
    true = truth(loads, "tensor", 132, first.at_ns - START_NS, last.at_ns - START_NS)
    assert abs((delta.cycles.tensor or 0) - true) <= 2 * 132 * 1_900 * 900 * 100


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_total_does_not_depend_on_when_it_is_sampled(data: st.DataObject) -> None:
    loads = data.draw(workloads(shortest_ns=MS))
    with node() as machine:
        backend, device, first = started(machine, loads)
        end_ns = machine.now_ns + 20 * S
        total, before = 0, first
        for at_ns in [*sorted(data.draw(st.lists(st.integers(machine.now_ns, end_ns), max_size=25))), end_ns]:
            machine.at(at_ns)
            after = backend.snapshot(device)
            delta = backend.delta(before, after)
            if delta is not None:
                total += delta.cycles.tensor or 0
                before = after
        machine.at(end_ns + 200 * MS)
        last = backend.snapshot(device)
        total += difference(backend, before, last).cycles.tensor or 0
        assert total == (difference(backend, first, last).cycles.tensor or 0)
        true = truth(loads, "tensor", 132, first.at_ns - START_NS, last.at_ns - START_NS)
        assert abs(total - true) <= 1


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_restarts_at_random_moments_change_no_total(data: st.DataObject) -> None:
    loads = data.draw(workloads(shortest_ns=MS))
    with node() as machine:
        backend, device, first = started(machine, loads)
        total, observed_ns, before = 0, 0, first
        for _ in range(data.draw(st.integers(1, 5))):
            for _ in range(data.draw(st.integers(0, 3))):
                machine.advance(data.draw(st.integers(150 * MS, 3 * S)))
                after = backend.snapshot(device)
                delta = difference(backend, before, after)
                total += delta.cycles.tensor or 0
                observed_ns += delta.observed_ns
                before = after
            machine.advance(data.draw(st.integers(0, 2 * LONGEST_NS)))
            backend.close()
            before = stored(before)
            backend, [device] = machine.started()
            after = backend.snapshot(device)
            delta = difference(backend, before, after)
            total += delta.cycles.tensor or 0
            observed_ns += delta.observed_ns
            before = after
        true = truth(loads, "tensor", 132, first.at_ns - START_NS, before.at_ns - START_NS)
        assert abs(total - true) <= 1
        assert observed_ns == before.at_ns - first.at_ns


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([Dtype.BF16, Dtype.TF32, Dtype.FP8]), declares=st.booleans())
def test_bounds_contain_the_truth_whatever_the_clock_does(data: st.DataObject, dtype: Dtype, declares: bool) -> None:
    loads = data.draw(workloads(shortest_ns=MS))
    with node() as machine:
        backend, device, before = started(machine, loads)
        for _ in range(6):
            machine.advance(data.draw(st.integers(150 * MS, 4 * S)))
            after = backend.snapshot(device)
            delta = difference(backend, before, after)
            bounds = executed(H100_ROW, delta.cycles, dtype if declares else Dtype.UNDECLARED, MARGIN_PPM).flop
            least, most = true_flop(loads, dtype, before.at_ns - START_NS, after.at_ns - START_NS)
            rounding = 4 * 8_192
            assert bounds.low - rounding <= least
            assert most <= bounds.high + rounding
            before = after
