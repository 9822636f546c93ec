"""Ids that launchers and trackers leave in a process's environment. None was made for us: each carries its origin.

An environment is the one that a process was *started* with: an id set later, as `wandb.init` does, is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.attribution.declared import MAX_NAME_CHARS, text
from agent.attribution.interface import Claim
from agent.attribution.remembered import Remembered
from agent.attribution.slurm import slurm_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.devices.interface import Device, ProcessKey

_LONGEST_PREFIX = 64


class JobEnvironment:
    """Slurm before what runs inside a Slurm job: a job's id is one for all its processes, a tracker's often is not."""

    name = "job-environment"
    written_by_root = False
    changes = False

    def __init__(self, read_environ: Callable[[int], Mapping[str, str]], cluster: str) -> None:
        self._cluster = cluster
        self._claims = Remembered(lambda process: self._derive(read_environ(process.pid)))

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        """The first id of the list that the process was started with."""
        del device
        return self._claims(process)

    def _derive(self, environ: Mapping[str, str]) -> Claim | None:
        def value(name: str) -> str | None:
            return text(environ, name, MAX_NAME_CHARS - _LONGEST_PREFIX)

        if job := value("SLURM_JOB_ID"):
            return Claim(slurm_run(self._cluster, job))
        if (elastic := value("TORCHELASTIC_RUN_ID")) and elastic != "none":  # torchrun's default names nothing
            return Claim(f"torchrun:{self._cluster}:{elastic}")
        if run := value("WANDB_RUN_ID"):
            project = value("WANDB_PROJECT")
            return Claim(f"wandb:{project}/{run}" if project and len(project) < _LONGEST_PREFIX - 8 else f"wandb:{run}")
        if run := value("MLFLOW_RUN_ID"):
            return Claim(f"mlflow:{run}")
        if job := value("RAY_JOB_ID"):
            return Claim(f"ray:{self._cluster}:{job}")
        return None
