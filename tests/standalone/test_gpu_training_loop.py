"""The demo's loop on a GPU, as far as it can be tried without one. `bench.gpu_truth` runs its step where there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agent.reports.book import ReportBook
from agent.reports.receiver import Receiver
from compute.architecture import Transformer
from standalone import gpu_training_loop, real_run
from standalone.real_run import _trained

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = Transformer(2, 32, 64, 64, 16)


class Steps:
    """A training whose steps cost what the architecture says."""

    def __init__(self, torch: Any, device: str, shape: Transformer, sequences: int, heads: int) -> None:
        del torch, device, heads
        self._flop = shape.training_flop(sequences)
        self.loss = 5.0

    def step(self) -> int:
        self.loss -= 0.1
        return self._flop


def test_what_it_prints_and_reports_is_what_its_shape_amounts_to(monkeypatch: pytest.MonkeyPatch) -> None:
    book = ReportBook("node", lambda: 1)
    receiver = Receiver(book, "127.0.0.1", 0, None)
    receiver.start()
    monkeypatch.setattr(gpu_training_loop, "Training", Steps)
    monkeypatch.setenv("FLOPLEDGER_RUN_ID", "r")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"http://127.0.0.1:{receiver.port}/v1/metrics")
    try:
        printed = gpu_training_loop.train(SimpleNamespace(), "cpu", 0.02, SHAPE, 2, 4)
    finally:
        receiver.close()
    trained = _trained(printed)
    assert trained.flop == trained.analytic_flop == printed["steps"] * SHAPE.training_flop(2)
    assert trained.loss_first == pytest.approx(4.9)
    [reported], _ = book.take()
    assert (reported.key.run, reported.key.dtype, reported.flop) == ("r", "bf16", trained.flop)


def probe(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "standalone.gpu_training_loop", "--probe"]
    environ = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        ("raise ImportError('libcudart.so.12: cannot open')", "ImportError: libcudart.so.12: cannot open"),
        ("def ones(*_, device): raise RuntimeError('driver too old')", "RuntimeError: driver too old"),
    ],
)
def test_a_pytorch_that_cannot_use_the_gpu_says_why(tmp_path: Path, torch: str, said: str) -> None:
    (tmp_path / "torch.py").write_text(torch + "\n")
    answer = probe(tmp_path)
    assert (answer.returncode, answer.stderr) == (3, f"no GPU to train on: {said}\n")


def test_one_that_can_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    works = "class T:\n    add_ = cpu = lambda self, *_: self\ndef ones(*_, device): return T()\n"
    (tmp_path / "torch.py").write_text(works)
    assert probe(tmp_path).returncode == 0
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert real_run.trains_on_gpu()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not real_run.trains_on_gpu()


def test_a_loop_is_told_the_format_it_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, **_: started.append((command, env)))
    for on_gpu in (False, True):
        real_run._start(4319, 20, on_gpu=on_gpu)
    assert [(command[2], env["FLOPLEDGER_DTYPE"]) for command, env in started] == [
        ("standalone.training_loop", "fp32"),
        ("standalone.gpu_training_loop", "bf16"),
    ]
    assert json.dumps(started[1][0][-2:]) == '["--seconds", "20"]'
