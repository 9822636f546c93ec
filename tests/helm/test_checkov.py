"""What checkov says of the default render, and that the page about privileges says what is measured."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts.chart.privileges import PAGE, default_render, measured
from scripts.chart.scan import PLACE, Scan, environment, reasons, scan

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    place: Path = tmp_path_factory.mktemp("rendered")
    try:
        environment()
    except subprocess.CalledProcessError as error:
        why = f"checkov cannot be installed into {PLACE}: {error}"
        if os.environ.get("CI"):
            pytest.fail(f"{why}, and this is CI")
        pytest.skip(f"NOT TESTED by checkov: {why}")
    return scan(default_render(), place)


def test_nothing_fails_without_a_written_reason_and_no_reason_is_left_over(found: Scan) -> None:
    assert found.passed > 400
    assert set(found.checks) == set(reasons())


def test_the_page_says_of_our_chart_what_is_measured(found: Scan) -> None:
    text = PAGE.read_text(encoding="utf-8")
    cells = [line.strip("| \n").split(" | ") for line in text.splitlines() if line.startswith("|")]
    said = {row[0]: row[1] for row in cells if len(row) == 3}
    ours = measured(default_render(), found)
    assert {row: said.get(row) for row in ours} == ours, "run `python -m scripts.chart.privileges PATH`"
    for check, why in reasons().items():
        assert f"| `{check}` | {why.strip()} |" in text


def test_dcgm_exporters_chart_was_found_as_it_is_known(found: Scan) -> None:
    (row,) = (
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| checkov: checks failed")
    )
    assert row == f"| checkov: checks failed, by number | {len(found.checks)} | 10 |"
