"""The sources that the settings name, put together, and kept up to date beside the sampling."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

from agent.attribution.cgroup import Cgroup
from agent.attribution.environment import Environment
from agent.attribution.job_environment import JobEnvironment
from agent.attribution.kubelet import Kubelet
from agent.attribution.pod_labels import ApiServer, PodLabels
from agent.attribution.pod_resources import PodResources
from agent.attribution.pods import Pods
from agent.attribution.registration import Registration
from agent.attribution.slurm import SlurmProlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.attribution.cgroup import Place
    from agent.attribution.interface import IdentitySource
    from agent.attribution.process_facts import ProcessFacts
    from agent.devices.interface import ProcessKey
    from cli.settings import Settings

log = logging.getLogger(__name__)

REFRESH_EVERY_S = 10.0
"""A pod that is younger than this is known by its cgroup alone."""


class Refreshing:
    """Calls each of `refresh` now, and then every few seconds in a thread: a kubelet that hangs delays no sample."""

    def __init__(self, refresh: list[Callable[[], None]], every_s: float = REFRESH_EVERY_S) -> None:
        self._refresh = refresh
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attribution", daemon=True)
        if refresh:
            self._thread.start()

    def _run(self) -> None:
        while True:
            for refresh in self._refresh:
                try:
                    refresh()
                except Exception:  # what it knew before still holds
                    log.exception("attribution could not be refreshed")
            if self._stop.wait(self._every_s):
                return

    def close(self) -> None:
        """Let the thread end; one that waits for an answer ends with the process."""
        self._stop.set()


def make_sources(settings: Settings, facts: ProcessFacts) -> tuple[list[IdentitySource], list[Callable[[], None]]]:
    """The sources in the order of the settings, and what has to be called now and then for some of them.

    None for a node that is only simulated or replayed: its processes are not this machine's.
    """
    if set(settings.backends) <= {"simulated", "replay"}:
        return [], []
    names, cluster = settings.attribution, settings.cluster
    pods = Pods(cluster, settings.pod_logs_dir)
    cgroup = Cgroup(facts.cgroup, cluster, pods.run_of_uid)

    def place_of(process: ProcessKey) -> Place | None:
        return cgroup.known_place(process)

    found: dict[str, IdentitySource] = {
        "slurm-prolog": SlurmProlog(settings.slurm_prolog_dirs, cluster, facts.uid),
        "cgroup": cgroup,
        "environment": Environment(facts.environ),
        "job-environment": JobEnvironment(facts.environ, cluster),
        "registration": Registration(settings.registration_dir, facts, place_of),
    }
    refresh: list[Callable[[], None]] = []
    if {"pod-resources", "pod-labels"} & set(names):
        resources = PodResources(Kubelet(settings.kubelet_socket), pods, place_of)
        found["pod-resources"] = resources
        refresh.append(resources.refresh)
        if "pod-labels" in names:
            server = ApiServer(settings.node, os.environ)
            labels = PodLabels(pods, server.pods, place_of, resources.tenant)
            found["pod-labels"] = labels
            refresh.append(labels.refresh)
    return [found[name] for name in dict.fromkeys(names)], refresh
