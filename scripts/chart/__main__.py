"""Make values.schema.json, README.md and the rendered examples of the chart: `make chart`."""

from __future__ import annotations

import shutil

import helm_python

from scripts.chart.readme import readme
from scripts.chart.render import example, examples, render
from scripts.chart.schema import schema_file
from scripts.chart.values import CHART, keys


def main() -> None:
    """Write all of it."""
    found = keys()
    (CHART / "values.schema.json").write_text(schema_file(found), encoding="utf-8")
    (CHART / "README.md").write_text(readme(found), encoding="utf-8")
    with helm_python.Chart.load(CHART) as chart:
        for place in examples():
            rendered = place / "rendered"
            shutil.rmtree(rendered, ignore_errors=True)
            for name, text in render(chart, example(place)).items():
                path = rendered / name.removeprefix("templates/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
