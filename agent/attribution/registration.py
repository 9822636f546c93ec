"""A file that a process drops when it learns its run's id after its start, as after `wandb.init`.

`<directory>/<pid>.json`, or in a pod `<directory>/<pod uid>/<pid inside the pod>.json`, holds
`{"run_id": "…", "model_id": "…", "purpose": "…", "dtype": "…"}`, the last three at will. It counts when it belongs to
the user whose process it is, and is no older than the process: what a process before it left behind is not its own.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from typing import TYPE_CHECKING

from agent.attribution.declared import Names, declared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.attribution.cgroup import Place
    from agent.attribution.interface import Claim
    from agent.attribution.process_facts import ProcessFacts
    from agent.devices.interface import Device, ProcessKey

log = logging.getLogger(__name__)

NAMES = Names("run_id", "model_id", "purpose", "dtype")
_MOST_BYTES = 4_096
_SLACK_NS = 1_000_000_000
"""A start is known to a hundredth of a second, and the clock may have been set meanwhile."""


class Registration:
    """Reads the files of `directory`, where every user may write and, as in /tmp, none may touch another's."""

    name = "registration"
    written_by_root = False
    changes = True

    def __init__(self, directory: Path, facts: ProcessFacts, place_of: Callable[[ProcessKey], Place | None]) -> None:
        self._directory = directory
        self._facts = facts
        self._place_of = place_of
        self._said: set[str] = set()

    def claim(self, process: ProcessKey, device: Device | None = None) -> Claim | None:
        """What the process's file says, None without one that is its own."""
        del device
        place = self._place_of(process)
        if place is not None and place.pod_uid is not None:
            inner = self._facts.inner_pid(process.pid)
            path = self._directory / place.pod_uid / f"{inner}.json"
        else:
            path = self._directory / f"{process.pid}.json"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if not self._of(process, os.fstat(descriptor), path):
                return None
            content = os.read(descriptor, _MOST_BYTES + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return self._parsed(path, content)

    def _of(self, process: ProcessKey, state: os.stat_result, path: Path) -> bool:
        """Whether the process itself, or its user in its lifetime, wrote the file."""
        uid = self._facts.uid(process.pid)
        if uid is None or not stat.S_ISREG(state.st_mode):
            return False
        if state.st_uid != uid:
            self._say(f"{path} is ignored: user {state.st_uid} wrote it, and process {process.pid} is user {uid}'s")
            return False
        return state.st_ctime_ns >= self._facts.started_unix_ns(process) - _SLACK_NS

    def _parsed(self, path: Path, content: bytes) -> Claim | None:
        try:
            values = json.loads(content) if len(content) <= _MOST_BYTES else None
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict) and all(isinstance(value, str) for value in values.values()):
            return declared(values, NAMES)
        self._say(f'{path} is ignored: it must be JSON like {{"run_id": "…"}}, texts only, {_MOST_BYTES} bytes at most')
        return None

    def _say(self, line: str) -> None:
        if line not in self._said and len(self._said) < 1_000:
            self._said.add(line)
            log.warning("%s", line)
