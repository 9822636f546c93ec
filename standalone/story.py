"""What the demo prints while it runs, for people; silent when the output is for programs."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli.output import console, progress_bar, scientific, table
from ledger.catalogue_file import catalogue
from standalone.real_run import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent.devices.simulated.scenario import Scenario
    from standalone.demo import DemoResult, Raised
    from standalone.real_run import Trained

TOLD_LINE = "eu-aia-51-2"
_KINDS = {
    "planned": "the declared budget reaches it",
    "forecast": "at this pace it will be reached",
    "upper_bound": "the upper bound has reached it",
    "estimate": "the estimate has reached it",
    "foreseeable": "crossing has become foreseeable",
}


class Story:
    """Tells the demo as it happens; a `quiet` one says nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = console()
        self._console.quiet = quiet

    @contextmanager
    def real_part(self, seconds: int) -> Iterator[Callable[[float], None]]:
        """Announce the first part; gives what to call with the share that is done."""
        self._say("[bold]1. Real compute, counted here[/bold]")
        self._say(
            f"   A small transformer trains on this machine for {seconds} s. It reports its own FLOP by\n"
            "   OpenTelemetry; the agent measures the same process from outside.\n"
        )
        with progress_bar("   training", self._console) as advanced:
            yield advanced

    def real_result(self, trained: Trained, read: dict[str, Any]) -> None:
        """Both bases of the real run side by side."""
        row = next(row for row in read["reconciliation"] if row["run_id"] == RUN_ID)
        reported, high = row["architecture_flop"], row["hardware_flop_high"]
        loss = f"loss {trained.loss_first:.2f} → {trained.loss_last:.2f}"
        self._say(f"   {trained.steps} steps, {trained.tokens:,} tokens, {loss}")
        self._say(f"   the loop reported    {reported:>24,} FLOP   (architecture basis)")
        self._say(
            f"   its layers amount to {trained.analytic_flop:>24,} FLOP   {_equal(reported, trained.analytic_flop)}"
        )
        measured, low = row["hardware_flop"], row["hardware_flop_low"]
        if measured:
            self._say(
                f"   the agent measured   {measured:>24,} FLOP   (hardware basis: {scientific(low, 3)} … "
                f"{scientific(high, 3)})\n"
            )
            return
        self._say(
            f"   the agent measured   between 0 and {scientific(high, 3)} FLOP   (hardware basis: CPU time × "
            "the cores'\n                        peak is a bound, never an estimate)\n"
        )

    @contextmanager
    def crossing_part(self, scenario: Scenario) -> Iterator[Callable[[float], None]]:
        """Announce the second part."""
        days = (scenario.end_ns - scenario.start_ns) / 86_400e9
        self._say("[bold]2. The run that crossed the line[/bold]")
        self._say(
            f"   Llama 3.1 405B as published: 15.6 trillion tokens on 16,384 H100, {days:.0f} days with their\n"
            "   interruptions and restarts, simulated in fast motion through the same agents, sealing,\n"
            "   collector and ledger. The line is the EU AI Act's, 10²⁵ FLOP.\n"
        )
        with progress_bar("   simulating", self._console) as advanced:
            yield advanced

    def alerts(self, raised: Sequence[Raised]) -> None:
        """Each alert on the line that this story is about."""
        for item in raised:
            alert = item.alert
            if alert.threshold == TOLD_LINE:
                expected = "" if alert.expected_at_ns is None else f" on {_day(alert.expected_at_ns)}"
                if alert.lead_days is not None:
                    expected += f", within {alert.lead_days} days"
                if alert.notify_by_ns is not None:
                    expected = f": notification is due by {_day(alert.notify_by_ns)}"
                self._say(
                    f"   {_day(item.at_ns)}  {alert.percent:>3} %  {alert.kind.replace('_', ' '):<11}  "
                    f"{_KINDS[alert.kind]}{expected}  ({scientific(alert.flop or 0)})"
                )

    def ending(self, demo: DemoResult, data_dir: Path) -> None:
        """The totals beside the truth, every line, and what to type next."""
        for run_id, flop in demo.outcome.truth.items():
            counted = demo.outcome.counted.get(run_id)
            self._say(f"\n   {demo.devices:,} devices in the ledger, {demo.batches:,} signed batches")
            self._say(f"   the ledger says  {counted:>38,} FLOP")
            self._say(f"   the truth is     {flop:>38,} FLOP   {_equal(counted, flop)}\n")
        self._say("[bold]3. Where the runs stand[/bold]")
        self._console.print(table(_standing(demo), ("run", "hardware_flop", "bounds", "reported_flop", "coverage")))
        self._console.print(table(_lines(demo), ("line", "says", "status", "run", "at", "alerts")))
        self._say(f"   The ledger lies in {data_dir}. Ask it:\n")
        program = _program()
        self._say(f"   export FLOPLEDGER_DATA_DIR={data_dir}")
        for arguments in (
            "ledger totals",
            "alerts list",
            "ledger sql 'SELECT node, count() FROM devices GROUP BY node ORDER BY node LIMIT 5'",
        ):
            self._say(f"   {program} {arguments}")
        self._say(f"\n   Count this machine from now on (in another shell): {program} up")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def _standing(demo: DemoResult) -> list[dict[str, Any]]:
    return [
        {
            "run": row["run_id"],
            "hardware_flop": row["hardware_flop"],
            "bounds": f"{scientific(row['hardware_flop_low'])} … {scientific(row['hardware_flop_high'])}"
            if row["hardware_flop_low"]
            else f"0 … {scientific(row['hardware_flop_high'])}",
            "reported_flop": row["architecture_flop"],
            "coverage": demo.coverage.get(row["run_id"], {}).get("coverage"),
        }
        for row in demo.reconciliation
    ]


def _lines(demo: DemoResult) -> list[dict[str, Any]]:
    found = []
    for line in catalogue():
        if line.subject != "model" or line.amount is None or line.requires_any:
            continue
        for run_id, flop in demo.outcome.counted.items():
            raised = [item.alert for item in demo.alerts if item.alert.threshold == line.id]
            crossed = line.crossed_by(flop)
            found.append(
                {
                    "line": f"{line.jurisdiction}: {line.citation}",
                    "says": f"{line.operator} {scientific(line.amount_flop, 1)}",
                    "status": line.status,
                    "run": run_id,
                    "at": f"{flop * 100 // line.amount_flop} %{', crossed' if crossed else ''}",
                    "alerts": str(len(raised)) if raised else None,
                }
            )
    return found


def _equal(left: int | None, right: int) -> str:
    return "equal to the last digit" if left == right else "[red]NOT EQUAL[/red]"


def _program() -> str:
    """How this very program can be called from here."""
    return "flopledger" if shutil.which("flopledger") else os.path.relpath(sys.argv[0])


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d")
