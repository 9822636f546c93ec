"""Declared budgets, estimates and upper bounds against the fractions of a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.assessment.rules import Rules
from ledger.declarations import Declaration
from ledger.declare import Wanted, declare
from tests.ledger.assessment.lines import LINE, count, line, only, percents, said
from tests.ledger.chains import NOW_NS, Chain, meter, take
from tests.ledger.engine import opened
from wire.batch import UNATTRIBUTED
from wire.rfc3339 import parse_ns

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock


def test_fractions_are_reached_and_the_line_is_crossed_as_its_text_says(ledger: Ledger) -> None:
    only(ledger, line("above"), line("from", operator=">="))
    chain = Chain()
    for flop, expected in (
        (LINE // 2 - 1, {}),
        (LINE // 2, {"above": [50], "from": [50]}),
        (LINE * 3 // 4 - 1, {}),
        (LINE * 3 // 4, {"above": [75], "from": [75]}),
        (LINE * 9 // 10, {"above": [90], "from": [90]}),
        (LINE - 1, {}),
        (LINE, {"above": [], "from": [100]}),
        (LINE + 1, {"above": [100], "from": []}),
    ):
        take(ledger, [chain.seal(meter(flop))])
        new = ledger.raise_alerts("me")
        for name, which in expected.items():
            of = [alert for alert in new if alert.threshold == name]
            assert percents(of, "estimate") == percents(of, "upper_bound") == which, (flop, name)
        assert expected or not new, flop


def test_a_fraction_of_an_odd_line_is_not_rounded_down(ledger: Ledger) -> None:
    only(ledger, line("odd", 15), line("even", 14))
    count(ledger, 7)
    assert [a.threshold for a in ledger.raise_alerts("me") if a.kind == "estimate"] == ["even"]


def test_the_upper_bound_reaches_a_line_before_the_estimate_does(ledger: Ledger) -> None:
    only(ledger, line())
    count(ledger, LINE // 2, LINE // 4, LINE * 2)
    found = ledger.raise_alerts("me")
    assert percents(found, "upper_bound") == [50, 75, 90, 100]
    assert percents(found, "estimate") == [50]


def test_where_there_are_bounds_only_the_lower_one_is_the_estimate(ledger: Ledger) -> None:
    only(ledger, line())
    count(ledger, None, LINE * 3 // 4, LINE * 2)
    found = ledger.raise_alerts("me")
    assert percents(found, "estimate") == [50, 75]
    assert {alert.flop for alert in found if alert.kind == "estimate"} == {LINE * 3 // 4}


def test_only_the_last_declared_budget_counts_and_a_lower_one_resolves(ledger: Ledger) -> None:
    only(ledger, line())
    ledger.append([Declaration("r", planned_flop=LINE * 9 // 10).statement("me")])
    found = ledger.raise_alerts("me")
    assert {(alert.kind, alert.basis) for alert in found} == {("planned", "declared")}
    assert percents(found, "planned") == [50, 75, 90]
    ledger.append([Declaration("r", planned_flop=LINE * 6 // 10).statement("me")])
    assert ledger.raise_alerts("me") == []
    assert said(ledger, "percent", "state", "resolved_reason") == [
        (50, "raised", ""),
        (75, "resolved", "the amount is less again"),
        (90, "resolved", "the amount is less again"),
    ]
    ledger.append([Declaration("r", planned_flop=LINE * 8 // 10).statement("me")])
    again = ledger.raise_alerts("me")
    assert [(alert.percent, alert.occurrence) for alert in again] == [(75, 1)]
    assert again[0].alert_id not in {row[0] for row in said(ledger, "alert_id", where="state = 'resolved'")}


def test_where_both_bases_reached_a_fraction_the_hardware_speaks_and_they_are_never_added(ledger: Ledger) -> None:
    only(ledger, line())
    reported = {"basis": "architecture", "method": "reported-run"}
    chain = Chain()
    take(ledger, [chain.seal(meter(LINE * 2 // 5), meter(LINE * 2 // 5, **reported))])
    assert ledger.raise_alerts("me") == []
    take(ledger, [chain.seal(meter(LINE // 2), meter(LINE * 4 // 5, **reported))])
    found = [(alert.percent, alert.basis) for alert in ledger.raise_alerts("me") if alert.kind == "estimate"]
    assert found == [(50, "hardware"), (75, "architecture")]


def test_what_belongs_to_no_run_reaches_no_line(ledger: Ledger) -> None:
    only(ledger, line())
    count(ledger, LINE * 2, run=UNATTRIBUTED)
    assert [alert.kind for alert in ledger.raise_alerts("me")] == ["unattributed_share"]


@pytest.mark.parametrize("status", ["revoked", "vetoed", "proposed"])
def test_lines_that_are_no_law_do_not_alert(ledger: Ledger, status: str) -> None:
    only(ledger, line(status=status))
    count(ledger, LINE * 2)
    assert ledger.raise_alerts("me") == []


def test_a_line_out_of_force_alerts_no_more(ledger: Ledger, store: Store, clock: Clock) -> None:
    count(ledger, 2 * 10**26)
    raised = {alert.threshold for alert in ledger.raise_alerts("me")}
    assert "us-eo14110-model" not in raised
    assert {"eu-aia-51-2", "ca-sb53", "kr-ai-basic", "ny-raise"} <= raised
    clock.now_ns = parse_ns("2024-06-01T00:00:00Z")
    assert "us-eo14110-model" in {alert.threshold for alert in opened(store, clock).raise_alerts("me")}


def test_an_alert_is_raised_once_though_assessed_often_and_by_others(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    only(ledger, line())
    chain = Chain()
    take(ledger, [chain.seal(meter(LINE * 3 // 5))])
    assert len(ledger.raise_alerts("collector")) == 2
    assert ledger.raise_alerts("collector") == []
    again = opened(store, clock)
    assert again.raise_alerts("collector") == []
    take(again, [chain.seal(meter(LINE * 4 // 5))])
    assert percents(again.raise_alerts("collector"), "estimate") == [75]
    assert [row[0] for row in store.query("SELECT count(), uniqExact(alert_id) FROM alert_history").rows] == [4]


def test_an_alert_on_record_says_all_that_it_was_raised_for(ledger: Ledger, clock: Clock) -> None:
    chain = Chain()
    take(ledger, [chain.seal(meter(LINE * 3 // 5))])
    ledger.append([Declaration("r", planned_flop=LINE + 7).statement("me")])
    raised = ledger.raise_alerts("collector")
    found = ledger.query("SELECT * FROM alerts WHERE kind = 'planned' ORDER BY percent").dicts()
    assert [row["percent"] for row in found] == [50, 75, 90, 100]
    assert {row["alert_id"] for row in found} <= {alert.alert_id for alert in raised}
    assert found[3] == {
        **found[3],
        "state": "raised",
        "subject_kind": "run",
        "subject": "r",
        "threshold": "eu-aia-51-2",
        "basis": "declared",
        "flop": LINE + 7,
        "line_flop": LINE,
        "expected_at": None,
        "lead_days": None,
        "runbook": "docs/runbooks/planned.md",
        "summary": "the declared budget reaches 100 % of eu-aia-51-2 (1.0 × 10²⁵ FLOP): 1.0 × 10²⁵ FLOP",
    }
    assert {int(row["first_seen"].timestamp()) * 10**9 for row in found} == {clock.now_ns}
    (head,) = ledger.query("SELECT agent, chain, seq, lower(hex(sha256)) FROM batches").rows
    evidence = ledger.query("SELECT evidence FROM alerts WHERE kind = 'estimate' LIMIT 1").rows[0][0]
    assert f'"seq":{head[2]}' in evidence
    assert head[3] in evidence
    assert '"journal_entry":' in evidence


def test_models_and_systems_are_held_against_lines_with_all_their_runs(ledger: Ledger) -> None:
    only(ledger, line())
    declare(
        ledger,
        Wanted(runs={"a": {"model_id": "m"}, "b": {"model_id": "m"}}, systems={"s": frozenset({"m"})}),
        "me",
    )
    take(ledger, [Chain().seal(meter(LINE * 2 // 5, run="a"), meter(LINE * 2 // 5, run="b"))])
    found = ledger.raise_alerts("me")
    assert {(alert.subject_kind, alert.subject) for alert in found} == {("model", "m"), ("system", "s")}
    assert percents(found, "estimate", "model") == percents(found, "estimate", "system") == [50, 75]
    ledger.watch(Rules(subjects=("run",), percents=(10, 30)))
    assert percents(ledger.raise_alerts("me"), "estimate", "run") == [10, 30, 10, 30]


def test_each_line_counts_by_its_own_policy(ledger: Ledger) -> None:
    only(ledger, line("all"), line("eu", policy="eu-cumulative"))
    ledger.append([Declaration("r", purpose="evaluation").statement("me")])
    count(ledger, LINE * 2)
    assert {alert.threshold for alert in ledger.raise_alerts("me")} == {"all"}


def test_a_run_that_restarts_from_a_checkpoint_keeps_what_it_took(ledger: Ledger) -> None:
    """Executed compute still counts: the second life of the counters is added, and nothing is raised again."""
    only(ledger, line())
    chain = Chain()
    take(ledger, [chain.seal(meter(LINE * 3 // 5))])
    assert percents(ledger.raise_alerts("me"), "estimate") == [50]
    chain.restart()
    take(ledger, [chain.seal(meter(LINE // 10))])
    assert ledger.raise_alerts("me") == []
    take(ledger, [chain.seal(meter(LINE // 5))])
    assert percents(ledger.raise_alerts("me"), "estimate") == [75]


def test_a_line_edited_while_a_run_is_past_it_is_another_line(ledger: Ledger) -> None:
    only(ledger, line())
    count(ledger, LINE * 3 // 2)
    first = ledger.raise_alerts("me")
    assert percents(first, "estimate") == [50, 75, 90, 100]
    only(ledger, line(amount_flop=LINE * 2))
    again = ledger.raise_alerts("me")
    assert percents(again, "estimate") == [50, 75]
    assert set(said(ledger, "line_flop", "state")) == {(LINE, "resolved"), (LINE * 2, "raised")}
    only(ledger, line())
    back = ledger.raise_alerts("me")
    assert [alert.occurrence for alert in back if alert.kind == "estimate"] == [1, 1, 1, 1]
    assert {alert.alert_id for alert in back}.isdisjoint(alert.alert_id for alert in first)
    assert not {alert.kind for alert in back} - {"estimate", "upper_bound"}, "foreseeable only once"


def test_a_correction_that_takes_away_resolves(ledger: Ledger) -> None:
    from ledger.adjustments import append_new, correction

    only(ledger, line())
    count(ledger, LINE * 4 // 5)
    ledger.raise_alerts("me")
    less = -(LINE // 5)
    append_new(ledger, [correction("r", less, less, less, "counted twice")], "me")
    ledger.raise_alerts("me")
    assert set(said(ledger, "percent", "state")) == {(50, "raised"), (75, "resolved")}


def test_the_numbers_of_the_assessor_are_those_of_the_view(ledger: Ledger) -> None:
    from ledger.assessment.accounts import Accounts, Subject
    from ledger.assessment.ladder import Measure
    from tests.ledger.report.world import fill

    fill(ledger)
    accounts = Accounts(ledger, shared=False)
    accounts.read_declared()
    accounts.read_all()
    rows = ledger.query(
        "SELECT subject_kind, subject, basis, policy, flop, flop_low, flop_high, int_op "
        "FROM subject_totals_at(until = '2106-01-01 00:00:00') AS t WHERE subject_kind != 'modification'"
    ).rows
    assert len(rows) > 20
    for kind, name, basis, policy, flop, low, high, int_op in rows:
        for integers in (False, True):
            more = int_op if integers else 0
            measure = Measure(policy, integers)
            amount = accounts.amounts(Subject(kind, name), [measure])[basis, measure]
            assert (amount.flop, amount.high) == ((low if flop is None else flop) + more, high + more), (name, policy)
            assert amount.pointed == (flop is not None)
    assert NOW_NS
