"""What Kubernetes lets nobody change stays the same from version to version."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import helm_python

from scripts.chart.render import layered, render
from scripts.chart.values import CHART
from tests.helm.charts import DEFAULT, case_values, manifests, parsed, pod_of

if TYPE_CHECKING:
    from pathlib import Path

NAMED = {"app.kubernetes.io/name": "flopledger", "app.kubernetes.io/instance": "flopledger"}
SELECTED = {
    ("DaemonSet", "flopledger-agent"): "agent",
    ("StatefulSet", "flopledger-collector"): "collector",
    ("Service", "flopledger-collector"): "collector",
    ("PodDisruptionBudget", "flopledger-collector"): "collector",
}
"""As the first version has them. A change here is an upgrade that fails."""


def selector(manifest: dict[str, Any]) -> dict[str, str] | None:
    found = manifest.get("spec", {}).get("selector")
    return None if found is None else found.get("matchLabels", found)


def test_selectors_are_those_of_the_first_version_and_match_their_pods() -> None:
    found = {(each["kind"], each["metadata"]["name"]): selector(each) for each in manifests(DEFAULT)}
    expected = {key: NAMED | {"app.kubernetes.io/component": component} for key, component in SELECTED.items()}
    assert {key: labels for key, labels in found.items() if labels is not None} == expected
    for manifest in manifests(DEFAULT):
        if pod_of(manifest) is not None and selector(manifest) is not None:
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            assert selector(manifest).items() <= labels.items()  # type: ignore[union-attr]


def test_a_newer_chart_changes_labels_and_images_and_nothing_that_is_fixed(tmp_path: Path) -> None:
    newer = shutil.copytree(CHART, tmp_path / "flopledger")
    meta = (newer / "Chart.yaml").read_text(encoding="utf-8")
    (newer / "Chart.yaml").write_text(meta.replace("ersion: 0.1.0", "ersion: 9.9.9"), encoding="utf-8")
    with helm_python.Chart.load(newer) as loaded:
        after = parsed(render(loaded, layered([f"ci/{DEFAULT}-values.yaml"]), upgrade=True))
    for then, now in zip(manifests(DEFAULT), after, strict=True):
        assert (then["kind"], then["metadata"]["name"]) == (now["kind"], now["metadata"]["name"])
        assert selector(then) == selector(now)
        assert then["metadata"]["labels"] != now["metadata"]["labels"]
        for fixed in ("serviceName", "podManagementPolicy", "volumeClaimTemplates"):
            assert then.get("spec", {}).get(fixed) == now.get("spec", {}).get(fixed)


def test_a_change_of_settings_restarts_what_reads_them() -> None:
    def stamp(values: dict[str, Any], kind: str) -> str:
        with helm_python.Chart.load(CHART) as loaded:
            made = parsed(render(loaded, values))
        (one,) = (each for each in made if each["kind"] == kind)
        said: str = one["spec"]["template"]["metadata"]["annotations"]["flopledger.io/settings"]
        return said

    before = case_values(DEFAULT)
    slower = before | {"agent": {"sealEverySeconds": 60}}
    assert stamp(before, "DaemonSet") != stamp(slower, "DaemonSet")
    assert stamp(before, "StatefulSet") == stamp(slower, "StatefulSet")


def test_tables_come_before_what_needs_them() -> None:
    hooks = {
        (each["kind"], each["metadata"]["name"]): each["metadata"]["annotations"]
        for each in manifests(DEFAULT)
        if "helm.sh/hook" in each["metadata"].get("annotations", {})
    }
    assert {kind for kind, _ in hooks} == {"ServiceAccount", "ConfigMap", "NetworkPolicy", "Job"}
    assert {annotations["helm.sh/hook"] for annotations in hooks.values()} == {"pre-install,pre-upgrade"}
    weights = {kind: int(annotations["helm.sh/hook-weight"]) for (kind, _), annotations in hooks.items()}
    assert all(weight < weights["Job"] for kind, weight in weights.items() if kind != "Job")
