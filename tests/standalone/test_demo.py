"""The README's `make run`, as a newcomer's machine runs it: a fresh home, no terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from agent.devices.simulated.scenario_file import load_shipped
from agent.devices.simulated.truth import truth

if TYPE_CHECKING:
    from pathlib import Path

LINE = "eu-aia-51-2"
LLAMA = "llama-3.1-405b"
REAL = "demo-transformer"

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Demo:
    """What the demo printed, and where its ledger lies."""

    said: dict[str, Any]
    home: Path

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environ = _environ(self.home) | {
            "FLOPLEDGER_DATA_DIR": str(self.home / ".local" / "share" / "flopledger" / "demo")
        }
        return _flopledger(environ, *arguments, "--format", "json")

    def alerts(self, kind: str) -> dict[float, dict[str, Any]]:
        found = [a for a in self.said["alerts"] if a["threshold"] == LINE and a["kind"] == kind]
        return {a["fraction"]: a for a in found if a["lead_days"] is None}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("home")
    answer = _flopledger(_environ(home), "demo", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    return Demo(json.loads(answer.stdout), home)


def test_both_totals_equal_their_truth_to_the_last_digit(demo: Demo) -> None:
    runs = {run["run_id"]: run for run in demo.said["runs"]}
    assert demo.said["exact"] is True
    assert runs[LLAMA]["hardware"]["flop"] == str(truth(load_shipped(LLAMA))[LLAMA]) == demo.said["truth"][LLAMA]
    assert runs[REAL]["architecture"]["flop"] == demo.said["truth"][REAL]


def test_the_real_run_has_bounds_from_its_processor_time_and_no_point(demo: Demo) -> None:
    real = next(run for run in demo.said["runs"] if run["run_id"] == REAL)
    assert real["hardware"]["flop"] is None
    assert real["hardware"]["flop_low"] == "0"
    assert int(real["hardware"]["flop_high"]) > int(real["architecture"]["flop"])
    assert real["coverage"] is None, "nobody declared a world size"


def test_the_line_is_announced_before_it_is_crossed(demo: Demo) -> None:
    estimate, forecast, planned = (demo.alerts(kind) for kind in ("estimate", "forecast", "planned"))
    assert list(estimate) == list(forecast) == list(planned) == [0.5, 0.75, 0.9, 1.0]
    raised = [estimate[fraction]["at"] for fraction in (0.5, 0.75, 0.9, 1.0)]
    assert raised == sorted(set(raised)), "each fraction on a day of its own"
    assert planned[1.0]["at"] < forecast[1.0]["at"] < estimate[0.5]["at"]
    (moment,) = demo.alerts("foreseeable").values()
    assert (moment["at"][:10], moment["notify_by"][:10]) == ("2024-03-04", "2024-03-18")
    assert forecast[1.0]["expected_at"][:10] <= estimate[1.0]["at"][:10]
    crossed = {a["threshold"] for a in demo.said["alerts"] if a["kind"] == "estimate" and a["fraction"] == 1.0}
    assert crossed == {LINE}, "10^26 is far"


def test_every_device_stands_in_the_ledger_and_10_to_the_26_at_38_percent(demo: Demo) -> None:
    sql = "SELECT count() AS n FROM devices FINAL WHERE kind = 'gpu'"
    assert json.loads(demo.ask("ledger", "sql", sql).stdout)["rows"] == [{"n": 16_384}]
    standing = demo.ask("thresholds", "assess")
    assert standing.returncode == 1, "a line is crossed"
    rows = [row for row in json.loads(standing.stdout)["standing"] if row["subject"] == LLAMA]
    assert {row["subject_kind"] for row in rows} == {"run", "model"}
    found = {row["threshold"]: row for row in rows if row["subject_kind"] == "run" and row["basis"] == "hardware"}
    assert found[LINE]["crossed"] is True
    assert found["ca-sb53"]["crossed"] is False
    assert 0.38 <= found["ca-sb53"]["share"] < 0.39


def _environ(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLOPLEDGER_")}
    return clean | {"HOME": str(home)}


def _flopledger(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flopledger", *arguments]
    return subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
