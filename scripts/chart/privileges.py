"""docs/privileges.md: what this chart may do by default beside what dcgm-exporter's may, by one tool in one run.

    python -m scripts.chart.privileges PATH

PATH is the folder `deployment` of a checkout of github.com/NVIDIA/dcgm-exporter. Both charts are rendered by the same
Helm with their defaults (ours with the four values that have none), and scanned by the same checkov.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import helm_python
import yaml

from scripts.chart.render import layered, render
from scripts.chart.scan import reasons, scan
from scripts.chart.values import CHART

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.chart.scan import Scan

PAGE = CHART.parents[1] / "docs" / "privileges.md"
TEXT = Path(__file__).with_name("privileges_page.md")
WORKLOADS = {"DaemonSet", "Deployment", "StatefulSet", "Job", "CronJob"}
UNLIMITED = "not limited"
NODE_AGENT = "DaemonSet"


def main(path: str) -> None:
    """Measure both and write the page."""
    with tempfile.TemporaryDirectory() as place, helm_python.Chart.load(path) as other:
        made = other.render(name="dcgm-exporter", namespace="gpu")
        theirs = {name.split("/", 1)[1]: text for name, text in made.items() if text.strip()}
        ours = default_render()
        columns = [
            measured(ours, scan(ours, Path(place) / "ours")),
            measured(theirs, scan(theirs, Path(place) / "theirs")),
        ]
        named = f"dcgm-exporter {other.version}"
    rows = [f"| {row} | {columns[0][row]} | {columns[1][row]} |\n" for row in columns[0]]
    table = f"| by default | flopledger | {named} |\n|---|---|---|\n{''.join(rows)}"
    skips = "".join(f"| `{check}` | {why.strip()} |\n" for check, why in reasons().items())
    text = TEXT.read_text(encoding="utf-8")
    PAGE.write_text(text.replace("{{table}}\n", table).replace("{{skips}}\n", skips), encoding="utf-8")


def default_render() -> dict[str, str]:
    """Ours, by its defaults and the four values that have none."""
    with helm_python.Chart.load(CHART) as chart:
        return render(chart, layered(["ci/default-values.yaml"]))


def measured(rendered: Mapping[str, str], found: Scan) -> dict[str, str]:
    """A column of the table."""
    manifests = [
        manifest
        for name, text in rendered.items()
        if name.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest
    ]
    agents = [_pod(manifest) for manifest in manifests if manifest["kind"] == NODE_AGENT]
    pods = [_pod(manifest) for manifest in manifests if manifest["kind"] in WORKLOADS]
    staying = [(pod, container) for pod in agents for container in pod["containers"]]
    beginning = [(pod, container) for pod in agents for container in pod.get("initContainers", [])]
    on_node = [check for check in found.failed if check[2].startswith(NODE_AGENT)]
    return {
        "checkov: checks failed, by number": str(len(found.checks)),
        "checkov: failed without a written reason": str(len(found.checks.keys() - _excused(manifests))),
        "checkov: failed on the node's agent": str(len(on_node)),
        "checkov: passed": str(found.passed),
        "node's agent runs as": _users(staying),
        "its capabilities": _capabilities(staying),
        "before it, an init container": f"{_users(beginning)}, {_capabilities(beginning)}" if beginning else "none",
        "privilege escalation": _yes(_security(each, "allowPrivilegeEscalation", True) for each in staying),
        "root file system writable": _yes(not _security(each, "readOnlyRootFilesystem", False) for each in staying),
        "seccomp profile": _seccomp(staying),
        "node's process ids": _yes(pod.get("hostPID", False) for pod in agents),
        "node's network": _yes(pod.get("hostNetwork", False) for pod in agents),
        "folders of the node": ", ".join(_folders(agents)) or "none",
        "token for the API server": _yes(pod.get("automountServiceAccountToken", True) for pod in pods),
        "rights in the API server": _rights(manifests) or "none",
        "pods without a network policy": _unguarded(manifests),
    }


def _excused(manifests: list[dict[str, Any]]) -> set[str]:
    """Reasons are written for our own chart."""
    ours = any("flopledger" in manifest["metadata"]["name"] for manifest in manifests)
    return set(reasons()) if ours else set()


def _pod(manifest: dict[str, Any]) -> dict[str, Any]:
    outer = manifest["spec"].get("jobTemplate", manifest)
    pod: dict[str, Any] = outer["spec"]["template"]["spec"]
    return pod


def _security(of: tuple[dict[str, Any], dict[str, Any]], name: str, default: object) -> Any:
    pod, container = of
    return container.get("securityContext", {}).get(name, pod.get("securityContext", {}).get(name, default))


def _users(of: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    users = {_security(each, "runAsUser", None) for each in of}
    return ", ".join(sorted("root" if user == 0 else f"user {user}" if user else "the image's user" for user in users))


def _capabilities(of: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    said = set()
    for each in of:
        capabilities = _security(each, "capabilities", {})
        dropped = "ALL" in capabilities.get("drop", [])
        added = capabilities.get("add", [])
        said.add(
            ", ".join(added) if dropped and added else "none" if dropped else " and ".join(["the runtime's", *added])
        )
    return ", ".join(sorted(said))


def _seccomp(of: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    return ", ".join(sorted({_security(each, "seccompProfile", {"type": UNLIMITED})["type"] for each in of}))


def _folders(pods: list[dict[str, Any]]) -> list[str]:
    found = []
    for pod in pods:
        for volume in (volume for volume in pod.get("volumes", []) if "hostPath" in volume):
            mounts = chain.from_iterable(each.get("volumeMounts", []) for each in pod["containers"])
            only_read = all(mount.get("readOnly") for mount in mounts if mount["name"] == volume["name"])
            found.append(f"`{volume['hostPath']['path']}`{' (read)' if only_read else ''}")
    return sorted(found)


def _rights(manifests: list[dict[str, Any]]) -> str:
    found = set()
    for role in (manifest for manifest in manifests if manifest["kind"] in {"Role", "ClusterRole"}):
        for rule in role.get("rules", []):
            scope = " in the cluster" if role["kind"] == "ClusterRole" else ""
            found.add(f"{', '.join(rule['verbs'])} {', '.join(rule['resources'])}{scope}")
    return "; ".join(sorted(found))


def _unguarded(manifests: list[dict[str, Any]]) -> str:
    policies = [each["spec"]["podSelector"]["matchLabels"] for each in manifests if each["kind"] == "NetworkPolicy"]
    templates = [
        each["spec"].get("jobTemplate", each)["spec"]["template"] for each in manifests if each["kind"] in WORKLOADS
    ]
    open_ones = [
        template
        for template in templates
        if not any(policy.items() <= template["metadata"]["labels"].items() for policy in policies)
    ]
    return f"{len(open_ones)} of {len(templates)} workloads"


def _yes(of: Iterable[bool]) -> str:
    return "yes" if any(of) else "no"


if __name__ == "__main__":
    main(sys.argv[1])
