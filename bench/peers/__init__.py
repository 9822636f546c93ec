"""Other programs that watch GPUs, each in an environment of its own, at 1 Hz over the same scripted driver with 8 GPUs.

Sampling is what a program does at one tick, called in a loop; whole process is the program as it is meant to be used,
for as long, with all that it does beside. Both are CPU time of the process and its children, so that a busy machine
changes little; resident memory is at the end. What each one measures differs, and stands beside the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.agent.devices.nvml.scripted.build import library

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "peers"
GPUS = 8
SAMPLING_S = 15
WHOLE_S = 30
H100 = "name=NVIDIA_H100_80GB_HBM3 cc=9.0 cores=16896 sms=132 clock_max=1980 serial=1650522 counters=sum"
LOAD = "mhz=1755 mw=620000 gr=950000 sm=900000 tensor=520000 hmma=520000 fp32=30000 int=40000"

MEASURES = {
    "flopledger": "tensor, vector and integer cycles, SM clock and throttling, busy time, energy, who is on each GPU; "
    "FLOP with bounds per run; whole process: signed batches on disk, OTLP receiver, Prometheus exporter",
    "codecarbon": "energy per GPU, CPU and RAM power by a model; whole process: emissions of one process's lifetime",
    "zeus": "energy per GPU between two calls; whole process: the same in a loop",
    "nvitop": "utilisation, memory, clocks, power, temperature and PCIe per GPU, and the host's; gauges, nothing is "
    "added up; whole process: its collector thread",
}


def measure() -> dict[str, Any]:
    """Make the environments, then measure one program after the other."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        environ = scripted_driver(Path(directory))
        for name, measures in MEASURES.items():
            python = Path(sys.executable) if name == "flopledger" else environment(name)
            script = str(HERE / f"run_{name}.py")
            result: dict[str, Any] = {"measures": measures}
            for mode, seconds in (("sampling", SAMPLING_S), ("whole", WHOLE_S)):
                command = [str(python), script, mode, str(seconds), directory]
                answer = subprocess.run(
                    command, env=environ, cwd=HERE.parent.parent, capture_output=True, text=True, check=False
                )
                if answer.returncode:
                    result[mode] = {"error": answer.stderr.strip()[-800:]}
                    continue
                result[mode] = json.loads(answer.stdout.splitlines()[-1])
            found[name] = result
    return {"gpus": GPUS, "hertz": 1, "programs": found}


def scripted_driver(root: Path) -> dict[str, str]:
    """A script of eight H100s under load, and the environment in which every program finds it as its driver."""
    since = int(time.time() - 3_600) * 10**9
    lines = ["clock real"]
    for index in range(GPUS):
        uuid = f"GPU-{index:08d}-0000-4000-8000-000000000000"
        lines += [f"gpu {index} uuid={uuid} from={since} {H100}", f"load {index} {since} {LOAD}"]
        lines.append(f"process {index} {os.getpid()} from={since} sm=90")
    (root / "script").write_text("\n".join(lines) + "\n", encoding="utf-8")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "LD_LIBRARY_PATH": str(library().parent),
        "FLOPLEDGER_TEST_NVML": str(root / "script"),
        "PYTHONPATH": str(HERE.parent.parent),
    }


def environment(name: str) -> Path:
    """The program's own environment, from its pinned requirements, made once."""
    place, requirements = CACHE / name, HERE / f"{name}.txt"
    python, mark = place / "bin" / "python", place / "installed.txt"
    if mark.exists() and mark.read_bytes() == requirements.read_bytes():
        return python
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
    subprocess.run(
        [uv, "pip", "sync", "-q", "--python", str(python), "--require-hashes", str(requirements)], check=True
    )
    shutil.copy(requirements, mark)
    return python
