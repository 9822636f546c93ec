"""`flopledger demo`: count real training on this machine, then watch a published run cross a published line."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.devices.simulated.scenario_file import load_shipped
from ledger.declarations import Declaration
from ledger.ledger import Ledger
from ledger.totals import COVERAGE_COLUMNS, RECONCILIATION_COLUMNS, rows
from standalone.fleet_process import FleetProcess
from standalone.real_run import RUN_ID, Trained, train_and_count, trains_on_gpu
from standalone.simulate import Outcome, simulate
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.devices.simulated.scenario import Scenario
    from cli.settings import Settings
    from ledger.assessment.alert import Alert
    from standalone.story import Story

CROSSING_RUN = "llama-3.1-405b"
PLANNED_FLOP = 38 * 10**24
"""What the published run was to take, and took: 3.8 × 10²⁵ (arXiv 2407.21783)."""
DEVICES = 16_384
TRAIN_S = 20


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert, and when it was raised in the time of its run, Unix ns."""

    alert: Alert
    at_ns: int


@dataclass(slots=True)
class DemoResult:
    """Everything the demo shows."""

    trained: Trained
    outcome: Outcome
    alerts: list[Raised] = field(default_factory=list)
    reconciliation: list[dict[str, Any]] = field(default_factory=list)
    coverage: dict[str, dict[str, Any]] = field(default_factory=dict)
    devices: int = 0
    batches: int = 0

    @property
    def exact(self) -> bool:
        """The simulated total equals the truth, and the real report its analytic count, to the last digit."""
        reported = {row["run_id"]: row["architecture_flop"] for row in self.reconciliation}.get(RUN_ID)
        return self.outcome.exact and reported == self.trained.flop == self.trained.analytic_flop

    def as_json(self) -> dict[str, Any]:
        """The object that `--format json` prints."""
        return {
            "runs": [self._run(row) for row in self.reconciliation],
            "alerts": [
                {
                    "run_id": raised.alert.subject,
                    "threshold": raised.alert.threshold,
                    "kind": raised.alert.kind,
                    "fraction": (raised.alert.percent or 0) / 100,
                    "lead_days": raised.alert.lead_days,
                    "at": format_ns(raised.at_ns),
                    "basis": raised.alert.basis,
                    "flop": raised.alert.flop,
                    "expected_at": _instant(raised.alert.expected_at_ns),
                    "notify_by": _instant(raised.alert.notify_by_ns),
                }
                for raised in self.alerts
            ],
            "truth": {RUN_ID: str(self.trained.analytic_flop)}
            | {run_id: str(flop) for run_id, flop in self.outcome.truth.items()},
            "exact": self.exact,
        }

    def _run(self, row: dict[str, Any]) -> dict[str, Any]:
        reported = row["architecture_flop"]
        covered = self.coverage.get(row["run_id"], {})
        return {
            "run_id": row["run_id"],
            "hardware": {
                "flop": row["hardware_flop"],
                "flop_low": row["hardware_flop_low"],
                "flop_high": row["hardware_flop_high"],
            },
            "architecture": None if reported is None else {"flop": reported},
            "coverage": covered.get("coverage"),
            "coverage_denominator": covered.get("denominator"),
        }


def run_demo(settings: Settings, story: Story) -> DemoResult:
    """Both parts, into one fresh ledger in `demo` below the data directory; `story` tells them as they happen."""
    data_dir = fresh_directory(settings.data_dir / "demo")
    on_gpu = trains_on_gpu()
    local = settings.model_copy(
        update={
            "data_dir": data_dir,
            "backends": ("nvml", "cpu") if on_gpu else ("cpu",),
            "node_lock": data_dir / "agent.lock",
            "otlp_port": 0,
            "metrics_port": 0,
            "sample_every_s": 0.5,
            "seal_every_s": 2.0,
        }
    )
    # What the log would say is told by the story.
    logging.getLogger().setLevel(logging.ERROR)
    scenario = load_shipped(CROSSING_RUN)
    # The fleet of the second part begins to play meanwhile, on the other core.
    with FleetProcess(scenario) as fleet:
        with story.real_part(TRAIN_S) as advanced:
            trained = train_and_count(local, TRAIN_S, advanced, on_gpu=on_gpu)
        story.real_result(trained, read(data_dir))
        raised, outcome = _cross(scenario, fleet, data_dir, story)
    demo = DemoResult(trained, outcome, raised, **read(data_dir))
    story.ending(demo, data_dir)
    return demo


def _cross(scenario: Scenario, fleet: FleetProcess, data_dir: Path, story: Story) -> tuple[list[Raised], Outcome]:
    raised: list[Raised] = []

    def notify(at_ns: int, alerts: Sequence[Alert]) -> None:
        # The model has this one run, and so the same alerts again.
        found = [Raised(alert, at_ns) for alert in alerts if alert.subject_kind == "run" and alert.threshold]
        raised.extend(found)
        story.alerts(found)

    declaration = Declaration(
        CROSSING_RUN, CROSSING_RUN, "pre-training", "bf16", PLANNED_FLOP, format_ns(scenario.end_ns), DEVICES
    )
    with story.crossing_part(scenario) as advanced:
        outcome = simulate(scenario, fleet, data_dir, notify, advanced, [declaration.statement("demo")])
    return raised, outcome


def read(data_dir: Path) -> dict[str, Any]:
    """What the ledger says in the end, asked like any question to it."""
    ledger = Ledger.open(data_dir, lambda: 0)
    try:
        counted = ledger.query("SELECT (SELECT count() FROM devices FINAL), (SELECT count() FROM batches FINAL)").rows[
            0
        ]
        return {
            "reconciliation": rows(ledger, "reconciliation", RECONCILIATION_COLUMNS, "run_id"),
            "coverage": {row["run_id"]: row for row in rows(ledger, "coverage", COVERAGE_COLUMNS, "run_id")},
            "devices": counted[0],
            "batches": counted[1],
        }
    finally:
        ledger.close()


def fresh_directory(path: Path) -> Path:
    """An empty directory for this demo; what an earlier demo left there goes."""
    if path.exists():
        # Opening it tells whether somebody holds it: a demo that still runs keeps its ledger.
        Ledger.open(path, lambda: 0).close()
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def _instant(at_ns: int | None) -> str | None:
    return None if at_ns is None else format_ns(at_ns)
