"""What the prolog writes is what the agent reads, and the epilog takes it back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from agent.attribution.interface import Claim
from agent.attribution.slurm import SlurmProlog
from agent.devices.interface import Device, ProcessKey

SCRIPTS = Path(__file__).parents[2] / "deploy" / "slurm"


def gpu(place: str) -> Device:
    return Device(f"GPU-{place}", "gpu", "H100", None, 132, 1980, place=place)


def run(script: str, directory: Path, job: str, uid: int, gpus: str) -> None:
    slurm = {"SLURM_JOB_ID": job, "SLURM_JOB_UID": str(uid), "SLURM_JOB_GPUS": gpus, "GPUSTAT": str(directory)}
    subprocess.run([SCRIPTS / script], env={**os.environ, **slurm}, check=True)


def test_a_job_has_its_gpus_from_prolog_to_epilog(tmp_path: Path) -> None:
    directory = tmp_path / "gpustat"
    source = SlurmProlog([directory], "c", lambda pid: {11: 1000, 12: 0}[pid])
    process, other = ProcessKey(11, 5, "boot"), ProcessKey(12, 5, "boot")
    run("prolog.sh", directory, "1234", 1000, "0,3")
    assert source.claim(process, gpu("0")) == source.claim(process, gpu("3")) == Claim("slurm:c:1234")
    assert source.claim(process, gpu("1")) is None
    assert source.claim(other, gpu("0")) is None, "a process of root on that GPU is not the job's"
    run("epilog.sh", directory, "1234", 1000, "0,3")
    assert source.claim(process, gpu("0")) is None
    assert list(directory.iterdir()) == []


def test_a_late_epilog_does_not_take_the_next_jobs_gpu(tmp_path: Path) -> None:
    source = SlurmProlog([tmp_path], "c", lambda _: 1000)
    run("prolog.sh", tmp_path, "1", 1000, "0")
    run("prolog.sh", tmp_path, "2", 1000, "0")
    run("epilog.sh", tmp_path, "1", 1000, "0")
    assert source.claim(ProcessKey(11, 5, "boot"), gpu("0")) == Claim("slurm:c:2")


def test_a_job_without_gpus_writes_nothing(tmp_path: Path) -> None:
    run("prolog.sh", tmp_path, "1", 1000, "")
    run("epilog.sh", tmp_path, "1", 1000, "")
    assert list(tmp_path.iterdir()) == []
