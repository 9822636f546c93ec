"""What `make chart` writes is up to date: the schema, the README, the examples."""

from __future__ import annotations

import pytest

from scripts.chart.readme import readme
from scripts.chart.render import EXAMPLES, examples
from scripts.chart.schema import schema_file
from scripts.chart.values import CHART, keys
from tests.helm.charts import files

AGAIN = "run `make chart`"


def test_the_schema_is_made_from_the_values_and_the_settings() -> None:
    assert (CHART / "values.schema.json").read_text(encoding="utf-8") == schema_file(keys()), AGAIN


def test_the_readme_is_made_from_the_values() -> None:
    assert (CHART / "README.md").read_text(encoding="utf-8") == readme(keys()), AGAIN


@pytest.mark.parametrize("example", [path.name for path in examples()])
def test_the_example_is_what_helm_renders(example: str) -> None:
    kept = EXAMPLES / example / "rendered"
    on_disk = {f"templates/{path.relative_to(kept)}": path for path in kept.rglob("*") if path.is_file()}
    assert {name: path.read_text(encoding="utf-8") for name, path in on_disk.items()} == files(example), AGAIN
