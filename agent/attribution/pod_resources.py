"""The pod that a device was given to, by the kubelet's own account."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from agent.attribution.interface import Claim
from agent.errors import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.attribution.cgroup import Place
    from agent.attribution.kubelet import Kubelet
    from agent.attribution.pods import Pods
    from agent.devices.interface import Device, ProcessKey

log = logging.getLogger(__name__)

_REPLICA = re.compile(r"(::\d+|/vgpu\d+)$")
"""Time-slicing hands one device out several times: `<id>::3` by NVIDIA's plugin, `nvidia0/vgpu3` on GKE."""
_GKE = re.compile(r"nvidia(\d+)(?:/gi(\d+))?")

Tenant = tuple[str, str]
"""Namespace and name of a pod."""


def device_name(plugin_id: str) -> str:
    """The UUID, or the index and GPU instance, that a device plugin's id stands for."""
    name = _REPLICA.sub("", plugin_id)
    found = _GKE.fullmatch(name)
    return name if found is None else ".".join(part for part in found.groups() if part is not None)


class PodResources:
    """What the kubelet said when it was last asked. `place_of` is where a process lives, None when that is unknown."""

    name = "pod-resources"
    written_by_root = True
    changes = True

    def __init__(self, kubelet: Kubelet, pods: Pods, place_of: Callable[[ProcessKey], Place | None]) -> None:
        self._kubelet = kubelet
        self._pods = pods
        self._place_of = place_of
        self._tenants: Mapping[str, frozenset[Tenant]] = {}
        self._failed = False

    def refresh(self) -> None:
        """Ask again. While the kubelet does not answer, what it said last holds: devices rarely change hands then."""
        try:
            allotments = self._kubelet.allotments()
        except Retry as error:
            if not self._failed:
                log.warning("%s; what it said before holds meanwhile", error)
            self._failed = True
            return
        self._failed = False
        tenants: dict[str, set[Tenant]] = {}
        for allotment in allotments or ():
            tenants.setdefault(device_name(allotment.device), set()).add((allotment.namespace, allotment.pod))
        self._tenants = {device: frozenset(pods) for device, pods in tenants.items()}

    def tenant(self, device: Device) -> Tenant | None:
        """The one pod that has the device, None when there is none or several share it."""
        pods = self._tenants.get(device.id) or self._tenants.get(device.place or "") or ()
        return next(iter(pods)) if len(pods) == 1 else None

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        """The pod's run, unless the process is known to live elsewhere."""
        tenant = self.tenant(device)
        if tenant is None:
            return None
        place = self._place_of(process)
        if place is not None:
            pod = None if place.pod_uid is None else self._pods.by_uid(place.pod_uid)
            if place.pod_uid is None or (pod is not None and (pod.namespace, pod.name) != tenant):
                return None
        return Claim(self._pods.run(*tenant))
