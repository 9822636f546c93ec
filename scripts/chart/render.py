"""The chart as Helm itself renders it, and what it renders to for each folder of helm/flopledger/examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from scripts.chart.values import CHART

if TYPE_CHECKING:
    from pathlib import Path

    import helm_python

RELEASE = NAMESPACE = "flopledger"
EXAMPLES = CHART / "examples"
"""Each holds `values`: a line for each file that is given to Helm as `--values`, in order, from the chart's folder."""


def render(chart: helm_python.Chart, values: dict[str, Any], *, upgrade: bool = False) -> dict[str, str]:
    """What each template makes of these values, by its path within the chart; empty ones are left out.

    Raises `helm_python.HelmError` for what the schema or the chart refuses.
    """
    chart.validate_schema(values)
    made = chart.render(values, name=RELEASE, namespace=NAMESPACE, is_install=not upgrade, is_upgrade=upgrade)
    return {name.split("/", 1)[1]: text.strip() + "\n" for name, text in sorted(made.items()) if text.strip()}


def example(place: Path) -> dict[str, Any]:
    """The values that an example is rendered with."""
    return layered((place / "values").read_text(encoding="utf-8").split())


def layered(files: list[str]) -> dict[str, Any]:
    """What Helm makes of several `--values`, named from the chart's folder."""
    result: dict[str, Any] = {}
    for file in files:
        result = _merged(result, yaml.safe_load((CHART / file).read_text(encoding="utf-8")))
    return result


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings key by key, anything else as a whole."""
    result = dict(below)
    for key, value in above.items():
        before = result.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        result[key] = _merged(before, value) if both else value
    return result


def examples() -> list[Path]:
    """The folders of all examples."""
    return sorted(path.parent for path in EXAMPLES.glob("*/values"))
