"""Method `gpm`: percentages × SMs × mean clock × time."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.devices.interface import Method
from agent.devices.nvml.clock import Span
from agent.devices.nvml.samples import active_cycles
from compute.accelerators import table
from compute.cycles import Cycles, clock_margin_ppm, executed
from compute.precision import Dtype
from tests.agent.devices.nvml.machine import BOOT_NS, H100, MS, START_NS, Load, Machine, S, hmma, node, truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.devices.interface import Delta, Device, Snapshot
    from agent.devices.nvml.backend import NvmlBackend

GPM_ONLY = H100.replace("counters=sum", "counters=none")
H100_ROW = table()["H100 SXM5 80GB"]
MARGIN_PPM = 30_000
BUSY = [Load(-BOOT_NS, 1755, hmma(500_000))]


def gpm(machine: Machine, loads: Sequence[Load], spec: str = GPM_ONLY) -> tuple[NvmlBackend, Device, Snapshot]:
    machine.gpu(0, spec, loads)
    backend, [device] = machine.started()
    return backend, device, backend.snapshot(device)


def observed(backend: NvmlBackend, before: Snapshot, after: Snapshot) -> Delta:
    delta = backend.delta(before, after)
    assert delta is not None
    return delta


def test_half_the_tensor_cycles_of_a_second_are_half_its_cycles(machine: Machine) -> None:
    backend, device, before = gpm(machine, BUSY)
    machine.advance(S)
    delta = observed(backend, before, backend.snapshot(device))
    assert delta.method is Method.GPM
    assert delta.cycles.tensor == 132 * 1755 * 1_000_000 // 2
    assert delta.cycles.sm == 132 * 1755 * 1_000_000
    assert delta.observed_ns == S
    assert delta.clock_mhz == (1755, 1755, 1755)
    assert delta.busy_ns == 950 * MS
    assert delta.energy_mj == 500_000
    assert delta.flags == {"clock-sampled"}


def test_nothing_of_it_outlives_the_process(machine: Machine) -> None:
    _, _, snapshot = gpm(machine, BUSY)
    restarted, [device] = machine.started()
    machine.advance(S)
    assert not snapshot.resumable
    assert restarted.snapshot(device).epoch != snapshot.epoch


def test_under_a_tenth_of_a_second_the_same_reading_is_served_again(machine: Machine) -> None:
    backend, device, _ = gpm(machine, BUSY)
    machine.advance(S)
    before = backend.snapshot(device)
    machine.advance(99 * MS)
    again = backend.snapshot(device)
    assert again is before
    assert backend.delta(before, again) is None
    machine.advance(401 * MS)
    assert observed(backend, before, backend.snapshot(device)).observed_ns == 500 * MS


def test_after_more_than_a_minute_the_time_is_not_observed(machine: Machine) -> None:
    backend, device, before = gpm(machine, BUSY)
    machine.advance(61 * S)
    unseen = backend.snapshot(device)
    delta = observed(backend, before, unseen)
    assert (delta.observed_ns, delta.to_ns - delta.from_ns) == (0, 61 * S)
    assert (delta.cycles.tensor, delta.cycles.sm) == (0, 0)
    assert "reseeded" in delta.flags
    machine.advance(S)
    assert observed(backend, unseen, backend.snapshot(device)).cycles.tensor == 132 * 1755 * 500_000


def test_any_two_snapshots_can_be_compared(machine: Machine) -> None:
    backend, device, first = gpm(machine, [*BUSY, Load(3 * S, 1200, hmma(250_000))])
    for _ in range(6):
        machine.advance(S)
        last = backend.snapshot(device)
    delta = observed(backend, first, last)
    assert delta.observed_ns == 6 * S
    assert delta.clock_mhz is not None
    assert delta.clock_mhz[0] == 1200
    assert delta.clock_mhz[2] == 1755


@pytest.mark.parametrize("answer", ["nan=1", "code=3", "offset=1000", "offset=-90"])
def test_a_metric_without_a_sound_number_makes_the_interval_unobserved(machine: Machine, answer: str) -> None:
    backend, device, before = gpm(machine, BUSY)
    machine.run(f"metric 0 7 {answer} from={START_NS + machine.now_ns} to={START_NS + machine.now_ns + S + 1}")
    machine.advance(S)
    gap = backend.snapshot(device)
    delta = observed(backend, before, gap)
    assert delta.observed_ns == 0
    assert delta.cycles.tensor == 0
    assert "metric-missing:hmma" in delta.flags
    machine.advance(S)
    assert observed(backend, gap, backend.snapshot(device)).cycles.hmma == 132 * 1755 * 500_000


def test_a_pipe_that_the_driver_never_reports_is_not_measured(machine: Machine) -> None:
    machine.gpu(0, GPM_ONLY, BUSY)
    machine.run("metric 0 9 code=3")
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.advance(S)
    delta = observed(backend, before, backend.snapshot(device))
    assert delta.cycles.imma is None
    assert delta.cycles.tensor == 132 * 1755 * 500_000


def test_the_wall_clock_may_jump(machine: Machine) -> None:
    backend, device, before = gpm(machine, BUSY)
    machine.wall_jump_ns = 3_600 * S
    machine.advance(S)
    delta = observed(backend, before, backend.snapshot(device))
    assert delta.observed_ns == S
    assert delta.cycles.tensor == 132 * 1755 * 500_000


def test_throttling_is_told(machine: Machine) -> None:
    backend, device, before = gpm(machine, [*BUSY, Load(S, 900, hmma(500_000), reasons=0x40)])
    machine.advance(2 * S)
    delta = observed(backend, before, backend.snapshot(device))
    assert "throttled" in delta.flags
    assert delta.clock_mhz == (900, 1328, 1755)


def test_counters_that_stopped_counting_are_suspect_and_not_idle(machine: Machine) -> None:
    """After Xid 31 every profiling counter stays at zero on a busy GPU."""
    machine.gpu(0, GPM_ONLY, BUSY)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    for metric, share in ((1, 95), (5, 50)):
        machine.run(f"metric 0 {metric} offset=-{share}")
    machine.advance(S)
    delta = observed(backend, before, backend.snapshot(device))
    assert delta.observed_ns == 0
    assert "counter-suspect" in delta.flags


def test_an_idle_gpu_is_observed_to_be_idle(machine: Machine) -> None:
    backend, device, before = gpm(machine, [Load(-BOOT_NS, 345)])
    machine.advance(S)
    delta = observed(backend, before, backend.snapshot(device))
    assert (delta.observed_ns, delta.cycles.tensor, delta.busy_ns) == (S, 0, 0)


def test_two_lives_of_a_device_are_two_epochs(machine: Machine) -> None:
    backend, device, before = gpm(machine, BUSY)
    machine.advance(S)
    machine.run(f"reset 0 {START_NS + machine.now_ns}")
    after = backend.snapshot(device)
    assert after.epoch != before.epoch
    with pytest.raises(ValueError, match="do not compare"):
        backend.delta(before, after)


def test_a_sample_that_took_long_is_not_trusted_in_time(machine: Machine) -> None:
    backend, device, before = gpm(machine, BUSY)
    take = backend._open[device.id].probe.source.pair._take  # type: ignore[union-attr]

    def slow(sample: object) -> None:
        machine.advance(3 * S)
        take(sample)

    machine.advance(S)
    backend._open[device.id].probe.source.pair._take = slow  # type: ignore[union-attr]
    delta = observed(backend, before, backend.snapshot(device))
    assert delta.observed_ns == 0
    assert "reseeded" in delta.flags


@given(
    percent=st.floats(0, 100),
    units=st.integers(1, 200),
    mhz=st.integers(1, 3_000),
    span_ns=st.integers(1, 60 * S),
)
def test_cycles_are_rounded_once_and_exactly(percent: float, units: int, mhz: int, span_ns: int) -> None:
    exact = Fraction(percent) / 100 * units * mhz * span_ns / 1_000
    assert abs(active_cycles(percent, units, Span(mhz, mhz, 2 * mhz * span_ns, span_ns)) - exact) <= Fraction(1, 2)


@st.composite
def workloads(draw: st.DrawFn, shortest_ns: int) -> list[Load]:
    """Bursts, clock swings and mixed pipes; no state lasts shorter than `shortest_ns`."""
    loads = [Load(-BOOT_NS, draw(st.integers(300, 1_980)))]
    at_ns = 0
    for _ in range(draw(st.integers(1, 12))):
        tensor = draw(st.just(0) | st.integers(2_000, 900_000))
        imma = draw(st.integers(0, tensor // 4))
        dmma = draw(st.integers(0, tensor // 4))
        ppm = {"gr": 1_000_000, "sm": 950_000, "tensor": tensor, "imma": imma, "dmma": dmma}
        ppm |= {"hmma": tensor - imma - dmma, "fp32": draw(st.integers(0, 300_000))}
        loads.append(Load(at_ns, draw(st.integers(300, 1_980)), ppm))
        at_ns += draw(st.integers(shortest_ns, 4 * S))
    return loads


def true_flop(loads: Sequence[Load], dtype: Dtype, from_ns: int, to_ns: int) -> tuple[Fraction, Fraction]:
    """FLOP of the matrix pipes alone, and with every non-tensor cycle a fused multiply-add."""
    cycles = {pipe: truth(loads, pipe, 132, from_ns, to_ns) for pipe in ("hmma", "dmma", "fp32")}
    matrix = cycles["hmma"] * H100_ROW.tensor[dtype] + cycles["dmma"] * H100_ROW.tensor[Dtype.FP64]
    return matrix, matrix + cycles["fp32"] * H100_ROW.vector[Dtype.FP32]


def contains(delta: Delta, loads: Sequence[Load], dtype: Dtype, declared: Dtype) -> None:
    margin_ppm = MARGIN_PPM + clock_margin_ppm(delta.clock_mhz)
    bounds = executed(H100_ROW, delta.cycles, declared, margin_ppm).flop
    least, most = true_flop(loads, dtype, delta.from_ns - START_NS, delta.to_ns - START_NS)
    rounding = 4 * 8_192
    assert bounds.low - rounding <= least
    assert most <= bounds.high + rounding


@settings(max_examples=60, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([Dtype.BF16, Dtype.TF32, Dtype.FP8]), declares=st.booleans())
def test_bounds_contain_the_truth_when_the_clock_moves_no_oftener_than_it_is_polled(
    data: st.DataObject, dtype: Dtype, declares: bool
) -> None:
    loads = data.draw(workloads(shortest_ns=S))
    with node() as machine:
        backend, device, before = gpm(machine, loads)
        for _ in range(10):
            machine.advance(data.draw(st.integers(120 * MS, S)))
            after = backend.snapshot(device)
            contains(observed(backend, before, after), loads, dtype, dtype if declares else Dtype.UNDECLARED)
            before = after


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_drivers_own_clock_samples_see_swings_between_two_ticks(data: st.DataObject) -> None:
    loads = data.draw(workloads(shortest_ns=60 * MS))
    with node() as machine:
        backend, device, before = gpm(machine, loads, f"{GPM_ONLY} clock_samples_ns={20 * MS}")
        for _ in range(8):
            machine.advance(data.draw(st.integers(150 * MS, 1_900 * MS)))
            after = backend.snapshot(device)
            contains(observed(backend, before, after), loads, Dtype.BF16, Dtype.BF16)
            before = after


def test_clock_samples_give_the_mean_that_polling_misses(machine: Machine) -> None:
    swing = [Load(-BOOT_NS, 1800, hmma(500_000))]
    for tick in range(1, 12):  # 1800 MHz whenever the clock is polled, 600 for the half second in between
        swing += [Load(tick * S - 250 * MS, 600, hmma(500_000)), Load(tick * S + 250 * MS, 1800, hmma(500_000))]
    machine.gpu(0, f"{GPM_ONLY} clock_samples_ns={10 * MS}", swing)
    machine.gpu(1, GPM_ONLY, swing)
    backend, devices = machine.started()
    before = {device.id: backend.snapshot(device) for device in devices}
    for _ in range(8):
        machine.advance(S)
        after = {device.id: backend.snapshot(device) for device in devices}
    seen, missed = (observed(backend, before[name], after[name]).cycles.tensor or 0 for name in ("GPU-0", "GPU-1"))
    true = truth(swing, "tensor", 132, 500 * MS, 500 * MS + 8 * S)
    assert abs(seen - true) < true / 100
    assert missed > true * Fraction(14, 10)
    assert observed(backend, before["GPU-0"], after["GPU-0"]).clock_mhz == (600, 1_200, 1_800)


def test_a_clock_that_is_high_between_two_polls_is_seen_to_be(machine: Machine) -> None:
    loads = [Load(-BOOT_NS, 600, hmma(500_000)), Load(S, 1_800, hmma(500_000)), Load(1_200 * MS, 600, hmma(500_000))]
    backend, device, before = gpm(machine, loads, f"{GPM_ONLY} clock_samples_ns={10 * MS}")
    machine.at(1_500 * MS)
    assert observed(backend, before, backend.snapshot(device)).clock_mhz == (600, 840, 1_800)


def test_unknown_cycles_are_never_zero(machine: Machine) -> None:
    machine.gpu(0, "name=NVIDIA_A100-SXM4-80GB cc=8.0 cores=6912 clock_max=1410 gpm=0", BUSY)
    backend, [device] = machine.started()
    before = backend.snapshot(device)
    machine.advance(S)
    assert observed(backend, before, backend.snapshot(device)).cycles == Cycles()
