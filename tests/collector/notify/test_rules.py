"""The rule file for Prometheus, by the real promtool: every rule fires when it should, and not a minute before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from collector.metric_names import MetricName
from collector.notify.kinds import KINDS
from tests.services.prometheus.fixtures import GET_PROMETHEUS
from tests.test_command_line import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
RULES = ROOT / "helm" / "flopledger" / "files" / "rules.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks"
HOUR, DAY = 3_600, 86_400
FRACTION = '{subject_kind="run",subject="r",basis="hardware",threshold="l"}'
CROSSING = 'flopledger_run_crossing_seconds{run="r",threshold="l",end="expected"}'
LEAD = 'flopledger_run_crossing_seconds{run="r",threshold="l",end="early"}'


ROOTS = [["agent"], ["alerts"], ["collector"], ["estimate"], ["import"], ["ledger"], ["thresholds"]]


def active(kind: str, state: str = "raised") -> str:
    return f'flopledger_alerts_active{{kind="{kind}",state="{state}"}}'


def about_a_kind(kind: str) -> tuple[dict[str, str], dict[str, str]]:
    return {active(kind): "1x200"}, {
        active(kind): "0x200",
        active(kind, "acknowledged"): "1x200",
        active("other"): "1x200",
    }


# What fires the rule, and what comes closest without doing so; both last three hours, one sample a minute.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "FlopledgerLineNear": (
        {f"flopledger_subject_fraction{FRACTION}": "0.9x200"},
        {f"flopledger_subject_fraction{FRACTION}": "0.8999x200"},
    ),
    "FlopledgerLineReached": (
        {f"flopledger_subject_fraction{FRACTION}": "1x200"},
        {f"flopledger_subject_fraction{FRACTION}": "0.9999x200"},
    ),
    "FlopledgerUpperBoundReached": (
        {f"flopledger_subject_fraction{FRACTION}": "0.7x200", f"flopledger_subject_fraction_high{FRACTION}": "1.2x200"},
        {f"flopledger_subject_fraction{FRACTION}": "1.1x200", f"flopledger_subject_fraction_high{FRACTION}": "1.2x200"},
    ),
    "FlopledgerCrossingWithin30Days": (
        {CROSSING: f"{30 * DAY - 1}x240"},
        {CROSSING: f"{30 * DAY}x240", LEAD: f"{20 * DAY}x240"},
    ),
    "FlopledgerCrossingWithin14Days": ({CROSSING: f"{14 * DAY - 1}x200"}, {CROSSING: f"{14 * DAY}x200", LEAD: "5x200"}),
    "FlopledgerForeseeable": about_a_kind("foreseeable"),
    "FlopledgerPlannedBeyondLine": about_a_kind("planned"),
    "FlopledgerCoverageLow": about_a_kind("coverage_low"),
    "FlopledgerAgentSilent": about_a_kind("agent_silent"),
    "FlopledgerUnattributedShare": about_a_kind("unattributed_share"),
    "FlopledgerTotalsApart": about_a_kind("totals_apart"),
    "FlopledgerDeviceShared": about_a_kind("device_shared"),
    "FlopledgerQuarantineStorm": (
        {'flopledger_collector_quarantined_total{reason="schema"}': "0+20x200"},
        {'flopledger_collector_quarantined_total{reason="schema"}': "0+5x200", active("quarantine_storm"): "0x200"},
    ),
    "FlopledgerCollectorStopped": (
        {'flopledger_collector_beat_age_seconds{instance="a"}': "1x10 stale"},
        {'flopledger_collector_beat_age_seconds{instance="a"}': "1x200"},
    ),
    "FlopledgerTargetDown": (
        {'up{job="flopledger-collector",instance="a"}': "0x200"},
        {'up{job="flopledger-collector",instance="a"}': "1x200", 'up{job="other",instance="a"}': "0x200"},
    ),
    "FlopledgerCollectorStuck": (
        {'flopledger_collector_beat_age_seconds{instance="a"}': "0+60x200"},
        {'flopledger_collector_beat_age_seconds{instance="a"}': "110x200"},
    ),
    "FlopledgerCollectorNotReady": (
        {'flopledger_collector_ready{instance="a"}': "0x200"},
        {'flopledger_collector_ready{instance="a"}': "0x5 1x5 0x5 1x200"},
    ),
    "FlopledgerAssessmentStopped": (
        {'flopledger_collector_ready{instance="a"}': "1x200"},
        {
            'flopledger_collector_assessment_age_seconds{instance="a"}': "5x200",
            'flopledger_collector_ready{instance="a"}': "1x200",
            'flopledger_collector_ready{instance="b"}': "1x200",
        },
    ),
    "FlopledgerBehind": (
        {'flopledger_collector_lag_age_seconds{instance="a"}': "301x200"},
        {'flopledger_collector_lag_age_seconds{instance="a"}': "299x200"},
    ),
    "FlopledgerNotCommitted": (
        {'flopledger_collector_commit_age_seconds{instance="a"}': "601x200"},
        {
            'flopledger_collector_commit_age_seconds{instance="a"}': "5x200",
            'flopledger_collector_commit_age_seconds{instance="b"}': "900x200",
        },
    ),
    "FlopledgerAgentCannotShip": (
        {'flopledger_agent_outage_seconds{instance="n"}': "901x200"},
        {'flopledger_agent_outage_seconds{instance="n"}': "0+60x10 0x200"},
    ),
    "FlopledgerDeliveryFailing": (
        {'flopledger_collector_deliveries_age_seconds{channel="mail"}': "0+60x200"},
        {'flopledger_collector_deliveries_age_seconds{channel="mail"}': "599x200"},
    ),
    "FlopledgerWatchdog": ({}, {}),
}


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*arguments: str) -> str:
    if shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail(f"no promtool to test with, and this is CI: {GET_PROMETHEUS}")
        pytest.skip(f"NOT TESTED by the real promtool: get it with `sudo {GET_PROMETHEUS}`")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_s(rule: dict[str, Any]) -> int:
    number, unit = re.fullmatch(r"(\d+)([mh])", rule.get("for", "0m")).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 60, "h": HOUR}[unit]


def firing(alert: str, at_s: int, expected: bool) -> dict[str, Any]:
    return {
        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
        "eval_time": f"{at_s}s",
        "exp_samples": [{"labels": "{}", "value": int(expected)}],
    }


def cases() -> Iterator[dict[str, Any]]:
    for alert, (fires, quiet) in CASES.items():
        wait = wait_s(rules()[alert])
        for series, fired in ((fires, True), (quiet, False)):
            if alert == "FlopledgerWatchdog" and not fired:
                continue
            late = firing(alert, max(HOUR, wait + HOUR), fired)
            # It has not held for long enough: nothing is said yet.
            early = [firing(alert, wait - 60, False)] if wait > 60 else []
            yield {
                "name": f"{alert} {fired}",
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [*early, late],
            }


def test_every_rule_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    assert CASES.keys() == rules().keys()
    test = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": list(cases())}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(tmp_path / "test.yaml"))


def test_its_words_are_filled_in(tmp_path: Path) -> None:
    (rule,) = [rule for name, rule in rules().items() if name == "FlopledgerCrossingWithin14Days"]
    said = {
        "summary": "Run r is forecast to cross l in 13d 23h 59m 59s",
        "description": rule["annotations"]["description"],
        "runbook_url": rule["annotations"]["runbook_url"],
    }
    labels = {"run": "r", "threshold": "l", "end": "expected", "severity": "critical"}
    test = {
        "rule_files": [str(RULES)],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": CROSSING, "values": f"{14 * DAY - 1}x200"}],
                "alert_rule_test": [
                    {
                        "alertname": "FlopledgerCrossingWithin14Days",
                        "eval_time": "50m",
                        "exp_alerts": [{"exp_labels": labels, "exp_annotations": said}],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    promtool("test", "rules", str(tmp_path / "test.yaml"))


def test_every_rule_says_what_to_do_and_asks_for_metrics_that_exist() -> None:
    known = {f"flopledger_{name.removeprefix('flopledger.').replace('.', '_')}" for name in get_args(MetricName)}
    known |= {"flopledger_agent_outage"}
    for alert, rule in rules().items():
        page = RUNBOOKS / rule["annotations"]["runbook_url"].rpartition("/")[2]
        assert page.exists(), alert
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}
        assert {"summary", "description"} <= rule["annotations"].keys()
        used = {re.sub(r"_(seconds|total)$", "", name) for name in re.findall(r"\bflopledger_\w+", rule["expr"])}
        assert used <= known, alert


def test_every_kind_of_alert_has_its_page_with_the_same_four_parts() -> None:
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    pages = {page.stem: page.read_text(encoding="utf-8") for page in RUNBOOKS.glob("*.md") if page.stem != "README"}
    assert set(KINDS) <= pages.keys()
    for name, text in pages.items():
        assert f"({name}.md)" in index
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "What it means",
            "What the law asks",
            "What to do",
            "By when",
        ]


def test_every_command_that_a_page_names_exists() -> None:
    known = {name for name, _ in commands()}
    for page in [*RUNBOOKS.glob("*.md"), ROOT / "docs" / "alerts.md"]:
        for said in re.findall(r"flopledger ((?:[a-z]+\s+)*[a-z]+)", page.read_text(encoding="utf-8")):
            words = said.split()
            if words[0] in {name.split()[0] for name in known}:
                assert any(
                    " ".join(words[:n]) in known for n in (3, 2, 1) if len(words) >= n and words[:n] not in ROOTS
                ), (page.name, said)
