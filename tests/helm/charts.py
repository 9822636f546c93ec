"""The chart as the real Helm renders it, each set of values once per session."""

from __future__ import annotations

from functools import cache
from typing import Any

import helm_python
import yaml

from scripts.chart.render import EXAMPLES, example, examples, layered, render
from scripts.chart.values import CHART

CI = sorted(path.name.removesuffix("-values.yaml") for path in CHART.glob("ci/*-values.yaml"))
CASES = [*CI, *(path.name for path in examples() if path.name not in CI)]
DEFAULT = "default"
"""The chart's defaults, and the few values that have none."""
NOTES = "templates/NOTES.txt"

Manifest = dict[str, Any]


@cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


@cache
def case_values(case: str) -> dict[str, Any]:
    return layered([f"ci/{case}-values.yaml"]) if case in CI else example(EXAMPLES / case)


@cache
def files(case: str) -> dict[str, str]:
    """What each template made of this case."""
    return render(chart(), case_values(case))


@cache
def manifests(case: str) -> list[Manifest]:
    """Every object of this case."""
    return parsed(files(case))


def parsed(made: dict[str, str]) -> list[Manifest]:
    texts = (text for name, text in made.items() if name != NOTES)
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(case: str, *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests(case) if manifest["kind"] in kinds]


def pod_of(manifest: Manifest) -> Manifest | None:
    """The pod's spec inside a workload; None in what runs nothing."""
    template = manifest.get("spec", {})
    template = template.get("jobTemplate", {"spec": template})["spec"]
    spec: Manifest | None = template.get("template", {}).get("spec")
    return spec


def pods(case: str) -> dict[str, Manifest]:
    """Each workload's pod, by `Kind/name`."""
    found = {f"{each['kind']}/{each['metadata']['name']}": pod_of(each) for each in manifests(case)}
    return {name: pod for name, pod in found.items() if pod is not None}


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def refusal(values: dict[str, Any]) -> str:
    """What Helm says to these values on top of the least that is needed."""
    try:
        render(chart(), layered([f"ci/{DEFAULT}-values.yaml"]) | values)
    except helm_python.HelmError as error:
        return str(error)
    raise AssertionError("these values were not refused")
