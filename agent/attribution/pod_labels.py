"""What a pod's labels and annotations say of its run; an annotation, which may be longer, goes before a label.

The API server is asked for the metadata of this node's pods alone. Even so the agent needs the right to list pods, and
RBAC knows no "of one node": that is why this source is off unless it is named in the settings.
"""

from __future__ import annotations

import json
import logging
import ssl
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from agent.attribution.declared import Names, declared
from agent.attribution.pods import Pod

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.attribution.cgroup import Place
    from agent.attribution.interface import Claim
    from agent.attribution.pod_resources import Tenant
    from agent.attribution.pods import Pods
    from agent.devices.interface import Device, ProcessKey

log = logging.getLogger(__name__)

NAMES = Names("flopledger.io/run-id", "flopledger.io/model-id", "flopledger.io/purpose", "flopledger.io/dtype")
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S = 5.0
_METADATA_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_OWNERS = (
    "jobset.sigs.k8s.io/jobset-name",
    "training.kubeflow.org/job-name",
    "leaderworkerset.sigs.k8s.io/name",
    "ray.io/cluster",
    "batch.kubernetes.io/job-name",
)
"""Labels that name the job a pod works for, outermost first; its controller is only the innermost."""


class PodLabels:
    """Labels and annotations of the pod that a process lives in, or else of the one that has its device."""

    name = "pod-labels"
    written_by_root = True
    changes = True

    def __init__(
        self,
        pods: Pods,
        fetch: Callable[[], list[Pod]],
        place_of: Callable[[ProcessKey], Place | None],
        tenant: Callable[[Device], Tenant | None],
    ) -> None:
        self._pods = pods
        self._fetch = fetch
        self._place_of = place_of
        self._tenant = tenant
        self._failed = False

    def refresh(self) -> None:
        """Ask the API server again; while it does not answer, what it said last holds."""
        try:
            self._pods.tell(self._fetch())
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
            if not self._failed:
                log.warning("pod labels: %s; what was known before holds meanwhile", error)
            self._failed = True
            return
        self._failed = False

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        """What somebody wrote on the pod for us."""
        place = self._place_of(process)
        if place is not None:
            pod = self._pods.by_uid(place.pod_uid) if place.pod_uid else None
        else:
            tenant = self._tenant(device)
            pod = self._pods.by_name(*tenant) if tenant is not None else None
        return None if pod is None else declared(pod.notes, NAMES)


class ApiServer:
    """The pods of one node, from the API server that `KUBERNETES_SERVICE_HOST` names, as this pod's service account."""

    def __init__(
        self, node: str, environ: Mapping[str, str], account: Path = SERVICE_ACCOUNT, scheme: str = "https"
    ) -> None:
        host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
        address = f"[{host}]" if ":" in host else host
        self._url = f"{scheme}://{address}:{port}/api/v1/pods?fieldSelector={quote(f'spec.nodeName={node}')}"
        self._inside = bool(host)
        self._account = account

    def pods(self) -> list[Pod]:
        """Raises OSError, ValueError and whatever else a server that is none can cause."""
        if not self._inside:
            raise OSError("not inside a cluster: KUBERNETES_SERVICE_HOST is not set")
        # Tokens are renewed on disk about every hour.
        token = (self._account / "token").read_text(encoding="ascii").strip()
        trust = ssl.create_default_context(cafile=str(self._account / "ca.crt")) if self._url[:5] == "https" else None
        request = Request(self._url, headers={"Authorization": f"Bearer {token}", "Accept": _METADATA_ALONE})
        try:
            with urlopen(request, timeout=_TIMEOUT_S, context=trust) as answer:
                items = json.load(answer)["items"]
        except HTTPError as refusal:
            refusal.close()
            what = "the service account may not list pods" if refusal.code == 403 else refusal.reason
            raise OSError(f"the API server answers {refusal.code}: {what}") from refusal
        return [pod_of(item["metadata"]) for item in items]


def pod_of(metadata: Mapping[str, Any]) -> Pod:
    """A pod from its metadata."""
    labels: dict[str, str] = metadata.get("labels") or {}
    controllers = [owner["name"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    named = (labels[label] for label in _OWNERS if label in labels)
    owner = next(named, controllers[0] if controllers else None)
    notes = labels | (metadata.get("annotations") or {})
    ours = {name: value for name, value in notes.items() if name in NAMES}
    return Pod(metadata["namespace"], metadata["name"], metadata["uid"], owner, ours)
