"""The Slurm job or the pod that a process is in by the kernel's cgroups; only root moves a process to another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from agent.attribution.interface import Claim
from agent.attribution.remembered import Remembered
from agent.attribution.slurm import slurm_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import Device, ProcessKey

_SLURM = re.compile(r"slurm[^/\n]*(?:/[^/\n]+)*?/job_(\d+)(?:/step_([^/\n]+))?")
"""v1: `/slurm/uid_1000/job_1234/step_0/task_0`; v2: `…/slurmstepd.scope/job_1234/step_0/user/task_0`."""
_POD = re.compile(r"[/-]pod([0-9a-f]{8}(?:[_-]?[0-9a-f]{4}){3}[_-]?[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?:/|$)")
"""`/kubepods/burstable/pod<uid>/…` by cgroupfs, `…/kubepods-burstable-pod<uid with _>.slice/…` by systemd. A static
pod's uid is a hash without dashes."""


class Place(NamedTuple):
    """Where a process lives: a Slurm job and step, or a pod."""

    job: str | None = None
    step: str | None = None
    pod_uid: str | None = None


def place(cgroup: str) -> Place:
    """What the text of `/proc/<pid>/cgroup` says. A job inside a pod is the job's."""
    job = _SLURM.search(cgroup)
    pod = _POD.search(cgroup)
    return Place(
        job.group(1) if job else None,
        job.group(2) if job else None,
        pod.group(1).replace("_", "-") if pod else None,
    )


class Cgroup:
    """Reads `/proc/<pid>/cgroup` through `read_cgroup`. `pod_run` makes a pod's uid a run id, None if it is no run."""

    name = "cgroup"
    written_by_root = True
    changes = True

    def __init__(
        self, read_cgroup: Callable[[int], str], cluster: str, pod_run: Callable[[str], str | None] = lambda _: None
    ) -> None:
        self._cluster = cluster
        self._pod_run = pod_run
        self._places = Remembered(lambda process: _place_of(read_cgroup(process.pid)))

    def known_place(self, process: ProcessKey) -> Place | None:
        """Where the process lives, None when its cgroup cannot be read."""
        return self._places(process)

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        """The job, or the pod, that the process is in."""
        del device
        found = self._places(process)
        if found is None:
            return None
        if found.job is not None:
            return Claim(slurm_run(self._cluster, found.job))
        run = None if found.pod_uid is None else self._pod_run(found.pod_uid)
        return None if run is None else Claim(run)


def _place_of(cgroup: str) -> Place | None:
    return place(cgroup) if cgroup else None
