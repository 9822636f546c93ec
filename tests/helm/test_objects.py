"""What is rendered is Kubernetes: by its own schemas, in the oldest, a middle and the newest version that we name."""

from __future__ import annotations

from functools import cache

import helm_python
import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

from scripts.chart.values import CHART
from tests.helm.charts import CASES, CI, case_values, manifests

OLDEST, MIDDLE, NEWEST = "1.27", "1.32", "1.37"
OTHERS = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject"}
"""Kinds of the Prometheus operator and of KEDA; no schema of theirs comes with Kubernetes."""

kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


@pytest.mark.parametrize("version", [OLDEST, MIDDLE, NEWEST])
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid(case: str, version: str) -> None:
    for manifest in manifests(case):
        if manifest["kind"] in OTHERS:
            assert manifest["metadata"]["name"]
            continue
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    (service,) = (each for each in manifests("default") if each["kind"] == "Service")
    with pytest.raises(kubernetes_validate.ValidationError, match="clusterIp"):
        kubernetes_validate.validate({**service, "spec": {"clusterIp": "None"}}, NEWEST, strict=True)


def test_the_versions_are_those_of_the_chart() -> None:
    said = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["kubeVersion"]
    following = f"1.{int(NEWEST.split('.')[1]) + 1}"
    assert said == f">={OLDEST}.0-0 <{following}.0-0"
    assert kubernetes_validate.latest_version().startswith(f"{NEWEST}.")


@pytest.mark.parametrize("case", CI)
def test_helm_lints_it(case: str) -> None:
    report = helm_python.lint(CHART, case_values(case), strict=True)
    assert [message for message in report["messages"] if message["severity"] > 1] == []
    assert report["errors"] == []


@pytest.mark.parametrize("case", CASES)
def test_every_object_says_whose_it_is_and_no_two_have_one_name(case: str) -> None:
    seen = set()
    for manifest in manifests(case):
        name = (manifest["kind"], manifest["metadata"]["name"])
        assert name not in seen
        seen.add(name)
        if name[1] == "flopledger-note":  # a manifest of the user's own
            continue
        assert manifest["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        if not manifest["kind"].startswith("ClusterRole"):
            assert manifest["metadata"]["namespace"] == "flopledger"
