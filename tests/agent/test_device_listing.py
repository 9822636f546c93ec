"""`flopledger agent devices` as a user runs it, over scripted drivers."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agent.devices.nvml.errors import NO_DRIVER
from tests.agent.devices.nvml.machine import A100, H100
from tests.agent.devices.nvml.scripted.build import library

if TYPE_CHECKING:
    from pathlib import Path

HOPPER = H100.replace("serial=1650522", "")
LOADED = "mhz=1755 sm=900000 gr=950000 tensor=500000 hmma=500000"


class Answer:
    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr
        self.listed: dict[str, Any] = json.loads(process.stdout) if process.stdout.startswith("{") else {}

    def method(self, device: str) -> str | None:
        [method] = [row["method"] for row in self.listed["devices"] if row["device"] == device]
        return None if method is None else str(method)


def devices(root: Path, *script: str, form: str = "json", driver: bool = True, **environ: str) -> Answer:
    (root / "script").write_text("\n".join(["clock real", *script]) + "\n")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "FLOPLEDGER_TEST_NVML": str(root / "script"),
        "FLOPLEDGER_BACKENDS": '["nvml"]',
        **({"LD_LIBRARY_PATH": str(library().parent)} if driver else {}),
        **environ,
    }
    command = [sys.executable, "-m", "flopledger", "agent", "devices", "--format", form]
    return Answer(subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60))


def gpu(index: int, spec: str, load: str = LOADED) -> list[str]:
    return [f"gpu {index} uuid=GPU-{index} from=1000000000 {spec}", f"load {index} 1000000000 {load}"]


def test_every_device_is_listed_with_its_method_and_the_better_ones_with_why_not(tmp_path: Path) -> None:
    script = [*gpu(0, HOPPER), *gpu(1, A100), *gpu(2, HOPPER.replace("sum", "none"))]
    answer = devices(tmp_path, *script)
    assert (answer.code, answer.err) == (0, "")
    assert [answer.method(f"GPU-{index}") for index in range(3)] == ["gpm-cycles", "busy", "gpm"]
    ampere = answer.listed["devices"][1]
    assert [(way["method"], way["available"]) for way in ampere["ways"]] == [
        ("gpm-cycles", False),
        ("gpm", False),
        ("busy", True),
    ]
    assert "needs a Hopper GPU or newer" in ampere["ways"][0]["reason"]
    assert "FLOPLEDGER_BACKENDS" in ampere["ways"][0]["reason"]
    assert "update to a driver" in answer.listed["devices"][2]["ways"][0]["reason"]
    assert answer.listed["devices"][0]["flop_per_s_max"] == "2274877440000000"
    shown = devices(tmp_path, *script, form="table").out
    assert "GPU-1: not measured by\n  gpm-cycles, gpm: GPM needs a Hopper" in shown
    assert "GPU-0: not" not in shown
    rows = list(csv.DictReader(io.StringIO(devices(tmp_path, *script, form="csv").out)))
    assert [row["method"] for row in rows] == ["gpm-cycles", "busy", "gpm"]


def test_a_node_without_a_driver_says_so_and_is_no_failure(tmp_path: Path) -> None:
    answer = devices(tmp_path, driver=False)
    assert (answer.code, answer.listed["devices"]) == (0, [])
    assert answer.listed["notices"] == [NO_DRIVER]
    table = devices(tmp_path, driver=False, form="table")
    assert table.err == f"{NO_DRIVER}\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (9, "nvml: NVML: the NVIDIA kernel module is not loaded: run nvidia-smi to see why (NVML 9)"),
        (18, "nvml: NVML: libnvidia-ml and the kernel module differ: reload the module or reboot (NVML 18)"),
        (17, "nvml: NVML: the operating system blocked the call: see the container's device permissions (NVML 17)"),
    ],
)
def test_a_driver_that_cannot_be_reached_is_exit_code_three(tmp_path: Path, code: int, said: str) -> None:
    answer = devices(tmp_path, f"fail * nvmlInitWithFlags code={code}", FLOPLEDGER_BACKENDS='["nvml", "cpu"]')
    assert answer.code == 3
    assert answer.listed["notices"] == [said]
    assert [row["kind"] for row in answer.listed["devices"]] == ["cpu"]


def test_a_gpu_that_may_not_be_looked_at_is_a_notice(tmp_path: Path) -> None:
    answer = devices(tmp_path, *gpu(0, HOPPER), *gpu(1, HOPPER), "fail 0 nvmlDeviceGetUUID code=4")
    assert [row["device"] for row in answer.listed["devices"]] == ["GPU-1"]
    assert answer.listed["notices"] == [
        "GPU 0: no permission: run the agent as root, or give its container all GPUs (NVML 4)"
    ]


def test_a_permission_that_is_missing_for_gpm_alone_is_the_reason(tmp_path: Path) -> None:
    answer = devices(tmp_path, *gpu(0, HOPPER), "fail 0 nvmlGpmSampleGet code=4")
    assert answer.method("GPU-0") == "busy"
    assert "GPM: no permission: run the agent as root" in answer.listed["devices"][0]["ways"][0]["reason"]


def test_a_partitioned_gpu_is_its_instances(tmp_path: Path) -> None:
    instance = "mig 0.0 uuid=MIG-1 from=1000000000 sms=16 gi=3 ci=0 counters=sum"
    answer = devices(tmp_path, *gpu(0, f"{HOPPER} mig=1"), instance, "load 0.0 1000000000 " + LOADED)
    [row] = answer.listed["devices"]
    assert (row["device"], row["place"], row["parent"], row["units"]) == ("MIG-1", "0.3", "GPU-0", 16)


def test_a_partitioned_gpu_without_instances_says_what_to_make(tmp_path: Path) -> None:
    answer = devices(tmp_path, *gpu(0, f"{HOPPER} mig=1"))
    assert answer.listed["devices"] == []
    assert "nvidia-smi mig -cgi" in answer.listed["notices"][0]


def test_no_gpus_and_a_hundred_and_twenty_eight(tmp_path: Path) -> None:
    assert devices(tmp_path).listed == {"devices": [], "notices": []}
    script = [line for index in range(128) for line in gpu(index, A100)]
    assert len(devices(tmp_path, *script).listed["devices"]) == 128
    shown = devices(tmp_path, *script, form="table").out
    assert "GPU-0, GPU-1, GPU-2 and 125 more: not measured by" in shown


def test_a_call_that_hangs_leaves_the_others(tmp_path: Path) -> None:
    answer = devices(tmp_path, *gpu(0, HOPPER), *gpu(1, HOPPER), "hang 0 nvmlDeviceGetName")
    assert [row["device"] for row in answer.listed["devices"]] == ["GPU-1"]
    assert answer.listed["notices"] == ["GPU-0: an NVML call did not return in 5 s"]


def test_the_deprecated_distribution_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pynvml-11.5.0.dist-info").mkdir()
    (tmp_path / "pynvml-11.5.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pynvml\nVersion: 11.5.0\n"
    )
    answer = devices(tmp_path, *gpu(0, HOPPER), PYTHONPATH=str(tmp_path))
    assert answer.listed["notices"] == [
        "the deprecated distribution pynvml 11.5.0 is installed beside nvidia-ml-py: pip uninstall pynvml, then "
        "pip install --force-reinstall nvidia-ml-py"
    ]
