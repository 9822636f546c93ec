"""The bench for a real GPU, as far as it can be tried without one: over the scripted library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pynvml
import pytest

from agent.devices.replay import Recorder
from bench.gpu_truth import questions, slowdown
from bench.gpu_truth.__main__ import replayed
from bench.gpu_truth.counting import Counting
from bench.gpu_truth.raw import RawSampler
from bench.gpu_truth.report import Report, file_stem
from compute.precision import Dtype
from tests.agent.devices.nvml.conftest import machine
from tests.agent.devices.nvml.machine import BOOT_NS, H100, START_NS, Load, Machine, S, hmma, truth
from tests.agent.devices.nvml.scripted.build import library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["machine"]

Made = Callable[..., "Bench"]


@pytest.fixture
def made(machine: Machine, tmp_path: Path) -> Iterator[Made]:
    """Makes a bench, and closes it."""
    benches: list[Bench] = []

    def make(loads: list[Load], spec: str = H100) -> Bench:
        benches.append(Bench(machine, loads, tmp_path, spec))
        return benches[-1]

    yield make
    for bench in benches:
        bench.counting.close()


BF16 = 4_096


class Bench:
    """A device with these loads, counted as the bench does, under a virtual clock."""

    def __init__(self, machine: Machine, loads: list[Load], root: Path, spec: str = H100) -> None:
        self.machine, self.loads = machine, loads
        machine.gpu(0, spec, loads)
        backend, [self.device] = machine.started()
        self.raw = RawSampler(pynvml, 0, lambda: START_NS + machine.now_ns)
        self.trace = root / "trace.jsonl"
        recorder = Recorder(backend, self.trace, lambda: START_NS + machine.now_ns)
        self.counting = Counting(recorder, self.device, self.raw, lambda s: machine.advance(int(s * S)), threaded=False)

    def for_s(self, seconds: int) -> Callable[[], int]:
        """Work of so many seconds, all of it between two edges, and what it was."""

        def work() -> int:
            began_ns = self.machine.now_ns
            for _ in range(seconds):
                self.machine.advance(S)
                self.counting.sample()
            return int(truth(self.loads, "tensor", 132, began_ns, self.machine.now_ns) * BF16)

        return work


def bursting(begin_s: float, end_s: float) -> list[Load]:
    return [
        Load(-BOOT_NS, 345),
        Load(int(begin_s * S), 1_755, hmma(900_000), 620_000),
        Load(int(end_s * S), 345, {}, 70_000),
    ]


@pytest.mark.parametrize("spec", [H100, H100.replace("counters=sum", "counters=none")])
def test_known_work_is_counted_and_the_usual_ways_stand_beside_it(made: Made, spec: str) -> None:
    # Found at 0.5 s and sampled at 0.85 s, so that the work fills exactly the six seconds after.
    bench = made(bursting(0.85, 6.85), spec)
    found = bench.counting.stretch(Dtype.BF16, bench.for_s(6))
    assert found["true_flop"] == str(6 * 1_755_000_000 * 132 * 9 // 10 * BF16)
    agent = found["agent"]
    # Percentages are multiplied by a clock that is polled once a second, and here it jumps fivefold at both ends.
    assert agent["over_truth"] == pytest.approx(1, abs=0.02 if spec == H100 else 0.12)
    assert agent["truth_within_bounds"]
    assert agent["flop_per_tensor_cycle"] == pytest.approx(BF16, rel=0.02 if spec == H100 else 0.13)
    assert agent["observed_share"] == 1
    assert agent["methods"] == ["gpm-cycles" if spec == H100 else "gpm"]
    others = found["others"]
    assert others["mean_watts"] == pytest.approx(620 * 6 / 6.35, rel=0.05)
    assert others["utilisation_times_peak_over_truth"] == pytest.approx(1, abs=0.2)
    assert found["gpm"]["percent"]["any_percent"] == pytest.approx(90 * 6 / 7, abs=15)
    assert not bench.counting.failures


def test_what_was_recorded_plays_back_to_the_same_cycles(made: Made) -> None:
    bench = made(bursting(0.85, 6.85))
    found = bench.counting.stretch(Dtype.BF16, bench.for_s(6))
    bench.counting.close()
    played = replayed(bench.trace)
    assert played["method"] == "gpm-cycles"
    assert played["tensor_cycles"] == found["agent"]["cycles"]["tensor"]


def test_an_nvml_that_fails_in_the_middle_is_in_the_result_and_no_end_of_it(machine: Machine, made: Made) -> None:
    bench = made(bursting(0.85, 6.85))
    machine.run(f"fail 0 * code=15 from={START_NS + 2 * S} to={START_NS + 4 * S}")
    found = bench.counting.stretch(Dtype.BF16, bench.for_s(6))
    assert any("fell off the bus" in failure for failure in bench.counting.failures)
    assert "energy" in bench.raw.notes
    json.dumps(found)


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        (H100, "elapsed cycles are summed over SMs"),
        (H100.replace("counters=sum", "counters=per"), "elapsed cycles are per SM"),
        (H100.replace("counters=sum", "counters=none"), "driver 595.45.04 does not answer the cycle counters"),
    ],
)
def test_the_units_of_the_cycle_counters_follow_from_the_rows(made: Made, spec: str, answer: str) -> None:
    bench = made(bursting(0.85, 6.85), spec)
    bench.counting.stretch(Dtype.BF16, bench.for_s(6))
    found = questions.counter_units(bench.raw.rows, 132, "595.45.04", bench.raw.notes)
    assert found["answer"] == answer


def test_the_longest_window_is_compared_with_the_short_ones_in_it(machine: Machine, made: Made) -> None:
    bench = made(bursting(0.85, 60))
    held = [(START_NS + machine.now_ns, bench.raw.keep())]
    bench.counting.stretch(Dtype.BF16, bench.for_s(30))
    found = questions.longest_window(bench.raw, held)
    assert found["answer"] == "longest window that agrees within one point: 31 s"


def test_where_fp8_is_counted_and_how_high_the_clock_went(made: Made) -> None:
    bench = made(bursting(0.85, 6.85))
    stretch = bench.counting.stretch(Dtype.FP8, bench.for_s(6))
    assert questions.fp8_pipe(stretch)["answer"] == "FP8 is counted as hmma"
    assert questions.fp8_pipe(None)["answer"] == questions.fp8_pipe({"error": "no such product"})["answer"]
    clock = questions.tensor_clock(stretch, bench.device)
    assert clock["answer"] == "the SM clock under load stayed at or below the tensor clock of 1830 MHz"
    assert questions.tensor_clock({"skipped": "no time"}, bench.device)["answer"].startswith("the device is not")


def test_what_cannot_be_answered_here_says_so(machine: Machine) -> None:
    machine.gpu(0, f"{H100} mig=0")
    pynvml.nvmlInit()
    assert questions.partitioned(pynvml, 0)["answer"] == "not answered: MIG is off"
    assert questions.partitioned(pynvml, 7)["answer"] == "not answered: MIG is not there"
    assert questions.beside_dcgm()["answer"].startswith("not answered")


def test_a_slow_down_is_told_from_noise() -> None:
    steady = slowdown.compared([1.0, 1.001, 0.999, 1.0], [1.0, 1.0005, 0.9995, 1.0])
    assert (steady["distinguishable_from_noise"], steady["met"]) == (False, True)
    slow = slowdown.compared([1.0, 1.001, 0.999, 1.0], [1.01, 1.011, 1.009, 1.01])
    assert slow["slow_down_percent"] == pytest.approx(1.0)
    assert (slow["distinguishable_from_noise"], slow["met"]) == (True, False)


class Clock:
    """Seconds that pass when told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def work(self, seconds: float, fails: bool = False) -> int:
        self.now_s += seconds
        if fails:
            raise RuntimeError("CUDA out of memory")
        return 7


def test_every_part_is_on_disk_with_its_result_its_error_or_why_it_was_left_out(tmp_path: Path) -> None:
    clock = Clock()
    report = Report(tmp_path / "result.json", {"device": "x"}, 100, clock)
    assert json.loads(report.path.read_text())["parts"] == {}
    assert report.part("good", 10, partial(clock.work, 40)) == 7
    assert "RuntimeError: CUDA out of memory" in report.part("bad", 10, partial(clock.work, 50, fails=True))["error"]
    assert report.part("late", 20, partial(clock.work, 1)) == {"skipped": "10 s were left, and it needs 20 s"}
    written: dict[str, Any] = json.loads(report.path.read_text())
    assert list(written["parts"]) == ["good", "bad", "late"]
    assert written["seconds"] == {"good": 40, "bad": 50, "late": 0}
    assert "test_gpu_truth" in written["parts"]["bad"]["traceback"]


def test_the_file_is_named_for_device_driver_and_day() -> None:
    assert file_stem("NVIDIA H100 80GB HBM3", "595.45.04").startswith("NVIDIA_H100_80GB_HBM3-595.45.04-20")


def bench_process(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "HOME": str(root)}
    command = [sys.executable, "-m", "bench.gpu_truth", "--out", str(root), *arguments]
    return subprocess.run(command, env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=120)


def test_elsewhere_it_says_so_and_exits_with_three(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('none here')\n")
    answer = bench_process(tmp_path, PYTHONPATH=str(tmp_path))
    assert (answer.returncode, answer.stdout) == (3, "")
    assert answer.stderr == "gpu_truth: PyTorch is not installed (none here): this bench needs it, and an NVIDIA GPU\n"
    (tmp_path / "torch.py").write_text("class cuda:\n    is_available = staticmethod(lambda: False)\n")
    assert "sees no NVIDIA GPU" in bench_process(tmp_path, PYTHONPATH=str(tmp_path)).stderr


def test_from_beginning_to_end_whatever_fails_the_report_is_whole(tmp_path: Path) -> None:
    """A PyTorch that can do nothing, over a driver out of a script: the bench's own path through all its parts."""
    (tmp_path / "torch.py").write_text(
        "__version__ = '0'\n"
        "class version:\n    cuda = '0'\n"
        "class cuda:\n    is_available = staticmethod(lambda: True)\n"
    )
    (tmp_path / "script").write_text(
        f"clock real\ngpu 0 uuid=GPU-0 from={START_NS} {H100}\nload 0 {START_NS} mhz=1755 gr=950000 sm=900000 "
        "tensor=500000 hmma=500000\n"
    )
    answer = bench_process(
        tmp_path,
        "--budget",
        "17",
        PYTHONPATH=str(tmp_path),
        LD_LIBRARY_PATH=str(library().parent),
        FLOPLEDGER_TEST_NVML=str(tmp_path / "script"),
    )
    assert answer.returncode == 0, answer.stderr
    written: dict[str, Any] = json.loads((tmp_path / answer.stdout.strip()).read_text())
    parts = written["parts"]
    assert parts["idle"]["any_percent"] == pytest.approx(50, abs=0.1)
    assert "skipped" in parts["training"]
    assert parts["question 1 units of the cycle counters"]["answer"] == "elapsed cycles are summed over SMs"
    assert parts["question 4 GPM without privilege"]["answer"] == "GPM answers without privilege"
    assert parts["question 7 longest window"]["answer"].startswith("longest window")
    assert parts["replay"]["snapshots"] >= 5
    assert len(written["raw"]["rows"]) >= 5
    assert written["methods"][0] == {"method": "gpm-cycles", "available": True, "reason": ""}
