"""What is known of the pods on this node, and the run id that follows from a pod.

The kubelet names a pod's log directory `<namespace>_<name>_<uid>`, which says who a uid is without asking anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. `owner` is the job behind it, None where nobody told; `notes` are its labels and annotations."""

    namespace: str
    name: str
    uid: str
    owner: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


class Pods:
    """The pods of this node, by uid and by name. `logs` is the kubelet's directory, None to do without."""

    def __init__(self, cluster: str, logs: Path | None) -> None:
        self._cluster = cluster
        self._logs = logs
        self._by_uid: dict[str, Pod] = {}
        self._told: dict[str, Pod] = {}
        self._by_name: dict[tuple[str, str], Pod] = {}

    def tell(self, pods: Iterable[Pod]) -> None:
        """Take over a full list that the API server gave."""
        self._told = {pod.uid: pod for pod in pods}
        self._by_name = {(pod.namespace, pod.name): pod for pod in self._told.values()}

    def by_uid(self, uid: str) -> Pod | None:
        """The pod with this uid, None when nobody knows it."""
        return self._told.get(uid) or self._by_uid.get(uid) or self._look(uid)

    def by_name(self, namespace: str, name: str) -> Pod | None:
        """The pod, as far as the API server told of it."""
        return self._by_name.get((namespace, name))

    def run(self, namespace: str, name: str) -> str:
        """The run id of a pod: its owner's where known, so that all pods of a job and their successors are one run."""
        pod = self.by_name(namespace, name)
        return f"k8s:{self._cluster}:{namespace}/{pod.owner if pod is not None and pod.owner else name}"

    def run_of_uid(self, uid: str) -> str:
        """The same for a pod that only the kernel named; by its uid while nobody knows better."""
        pod = self.by_uid(uid)
        return f"k8s:{self._cluster}:{uid}" if pod is None else self.run(pod.namespace, pod.name)

    def _look(self, uid: str) -> Pod | None:
        if self._logs is None:
            return None
        try:
            names = [path.name.split("_") for path in self._logs.iterdir()]
        except OSError:
            return None
        self._by_uid = {parts[2]: Pod(parts[0], parts[1], parts[2]) for parts in names if len(parts) == 3}
        return self._by_uid.get(uid)
