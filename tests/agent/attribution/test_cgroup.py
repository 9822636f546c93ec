"""Where the kernel says that a process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.attribution.cgroup import Cgroup, Place, place
from agent.attribution.interface import Claim
from agent.devices.interface import ProcessKey
from tests.agent.attribution.proc import GPU, POD_UID, Proc, pod_cgroup

if TYPE_CHECKING:
    from pathlib import Path

DASHLESS = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("cgroup", "where"),
    [
        ("0::/system.slice/slurmstepd.scope/job_1234/step_0/user/task_0\n", Place("1234", "0")),
        ("0::/system.slice/node7_slurmstepd.scope/job_1234/step_batch/user/task_0\n", Place("1234", "batch")),
        ("8:memory:/slurm/uid_1000/job_1234/step_extern/task_0\n", Place("1234", "extern")),
        ("3:cpuset:/\n8:devices:/slurm_node7/uid_1000/job_99/step_1\n", Place("99", "1")),
        ("0::/system.slice/slurmstepd.scope/job_7\n", Place("7")),
        (pod_cgroup(), Place(pod_uid=POD_UID)),
        (f"0::/../../kubepods-besteffort-pod{POD_UID.replace('-', '_')}.slice/x\n", Place(pod_uid=POD_UID)),
        (f"4:memory:/kubepods/burstable/pod{POD_UID}/0123abcd\n", Place(pod_uid=POD_UID)),
        (f"0::/kubelet/kubepods/pod{DASHLESS}/0123abcd\n", Place(pod_uid=DASHLESS)),
        ("0::/system.slice/sshd.service\n", Place()),
        ("0::/user.slice/job_1234/step_0\n", Place()),
        ("0::/kubepods/podcast-recorder/x\n", Place()),
        ("garbage", Place()),
    ],
)
def test_job_and_pod_are_read_off_the_path(cgroup: str, where: Place) -> None:
    assert place(cgroup) == where


def test_a_job_and_a_pod_become_runs_and_anything_else_does_not(tmp_path: Path) -> None:
    proc = Proc(tmp_path / "proc")
    cgroup = Cgroup(proc.facts.cgroup, "c", lambda uid: f"k8s:c:{uid}")
    job = proc.add(1, "0::/system.slice/slurmstepd.scope/job_1234/step_0/user/task_0\n")
    pod = proc.add(2, pod_cgroup())
    other = proc.add(3)
    assert cgroup.claim(job, GPU) == Claim("slurm:c:1234")
    assert cgroup.claim(pod, GPU) == Claim(f"k8s:c:{POD_UID}")
    assert cgroup.claim(other, GPU) is None
    assert cgroup.claim(ProcessKey(4, 0, "boot"), GPU) is None
    assert cgroup.known_place(ProcessKey(4, 0, "boot")) is None
