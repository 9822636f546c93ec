"""Rules, dashboards and targets, as the chart hands them to the Prometheus operator and to Grafana."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from scripts.chart.values import CHART
from tests.helm.charts import of_kind
from tests.services.prometheus.fixtures import GET_PROMETHEUS

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 20
"""Of a ConfigMap."""


def test_promtool_accepts_the_rules_as_they_are_rendered(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail(f"no promtool to check with, and this is CI: {GET_PROMETHEUS}")
        pytest.skip(f"NOT TESTED by promtool: get it with `sudo {GET_PROMETHEUS}`")
    (rule,) = of_kind("monitoring", "PrometheusRule")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
    checked = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_are_those_of_the_file_with_their_templates() -> None:
    (rule,) = of_kind("monitoring", "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text(encoding="utf-8"))
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    assert "{{ $labels" in json.dumps(rule["spec"])


def test_every_dashboard_comes_whole_under_a_label_that_grafana_looks_for() -> None:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in CHART.glob("files/dashboards/*.json")}
    maps = [each for each in of_kind("monitoring", "ConfigMap") if "-dashboard-" in each["metadata"]["name"]]
    assert shipped
    rendered = {name: text for each in maps for name, text in each["data"].items()}
    assert {name: json.loads(text) for name, text in rendered.items()} == {
        name: json.loads(text) for name, text in shipped.items()
    }
    for each in maps:
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Compute"}
        assert len(json.dumps(each)) < MAX_BYTES


def test_what_is_watched_exists() -> None:
    (pods,) = of_kind("monitoring", "PodMonitor")
    (services,) = of_kind("monitoring", "ServiceMonitor")
    (agents,) = of_kind("monitoring", "DaemonSet")
    service = next(each for each in of_kind("monitoring", "Service") if each["metadata"]["name"].endswith("-collector"))
    labels = agents["spec"]["template"]["metadata"]["labels"]
    assert pods["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert services["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert services["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
