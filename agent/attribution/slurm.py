"""Slurm's jobs by device, from the files that a prolog writes as root.

Two layouts are in use, and a site may have both: jobstats writes `<directory>/<GPU UUID or index>` with one line
`<job id> <uid>`; dcgm-exporter's job mapping is `<directory>/<index>` or `<index>.<GPU instance>`, a job id per line.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.attribution.interface import Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.devices.interface import Device, ProcessKey

log = logging.getLogger(__name__)

_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_MOST_BYTES = 4_096
_OTHERS_MAY_WRITE = 0o022


def slurm_run(cluster: str, job: str) -> str:
    """The run id derived from a job's: two clusters' job 1234 are two runs."""
    return f"slurm:{cluster}:{job}"


@dataclass(frozen=True, slots=True)
class _Job:
    id: str
    uid: int | None = None


class SlurmProlog:
    """Which job a device was given to. `uid_of` tells whose a process is, None when it is not visible here.

    With several jobs on one device the files do not say which process is whose: then the cgroup has to.
    """

    name = "slurm-prolog"
    written_by_root = True
    changes = True

    def __init__(
        self, directories: Sequence[Path], cluster: str, uid_of: Callable[[int], int | None], own_uid: int | None = None
    ) -> None:
        self._directories = directories
        self._cluster = cluster
        self._uid_of = uid_of
        self._trusted = {0, os.getuid() if own_uid is None else own_uid}
        self._said: set[str] = set()

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        """The one job that a file of this device names, unless the process is another user's than the job."""
        for directory in self._directories:
            for name in (device.id, device.place):
                jobs = self._read(directory / name) if name else []
                if len(jobs) == 1:
                    [job] = jobs
                    uid = None if job.uid is None else self._uid_of(process.pid)
                    return None if uid is not None and uid != job.uid else Claim(slurm_run(self._cluster, job.id))
                if jobs:
                    return None
        return None

    def _read(self, path: Path) -> list[_Job]:
        try:
            with path.open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_uid not in self._trusted or state.st_mode & _OTHERS_MAY_WRITE:
                    self._say(f"{path} is ignored: others than root may write it, so it proves nothing")
                    return []
                lines = file.read(_MOST_BYTES).decode("ascii", "replace").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._say(f"{path} cannot be read: {error.strerror}")
            return []
        jobs = [self._job(path, line.split()) for line in lines if line.strip()]
        return [job for job in jobs if job is not None]

    def _job(self, path: Path, words: list[str]) -> _Job | None:
        if _JOB.fullmatch(words[0]) and (len(words) == 1 or words[1].isdigit()):
            return _Job(words[0], int(words[1]) if len(words) > 1 else None)
        self._say(f"{path}: a line is a job id, and behind it a uid; not {' '.join(words)[:80]!r}")
        return None

    def _say(self, line: str) -> None:
        if line not in self._said and len(self._said) < 1_000:
            self._said.add(line)
            log.warning("%s", line)
