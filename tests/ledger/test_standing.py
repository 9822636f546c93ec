"""Where everything stands against lines, now and on past days, by each line's policy and by another."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from compute.accelerators import table
from ledger.adjustments import append_new, correction
from ledger.catalogue_file import catalogue
from ledger.catalogue_record import add, due, lines
from ledger.declare import Wanted, declare
from ledger.errors import Refused
from ledger.standing import STANDING_COLUMNS, crossed_in_force, standing
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take
from tests.wire.batches import batch
from wire.batch import DeviceRecord

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.ledger import Ledger

TODAY = datetime.fromtimestamp(NOW_NS / 1e9, UTC).date()
CLUSTER = batch().cluster
H100 = "H100 SXM5 80GB"


def stands(ledger: Ledger, kind: str, subject: str, line: str, **options: Any) -> dict[str, Any]:
    ledger.publish_catalogue()
    found = standing(ledger, TODAY, **{"every_line": True, **options})
    (row,) = [row for row in found if (row["subject_kind"], row["subject"], row["threshold"]) == (kind, subject, line)]
    assert set(STANDING_COLUMNS) <= row.keys() or kind == "cluster"
    return row


def count(ledger: Ledger, flop: int | None, *bounds: int, **changes: Any) -> None:
    take(ledger, [Chain(changes.pop("agent", 0)).seal(meter(flop, *bounds, **changes))])


def eu_rows(ledger: Ledger) -> list[dict[str, Any]]:
    ledger.publish_catalogue()
    return [row for row in standing(ledger, TODAY) if row["threshold"] == "eu-aia-51-2"]


def test_at_exactly_the_amount_the_operator_decides(ledger: Ledger, tmp_path: Path) -> None:
    ledger.publish_catalogue()
    add(ledger, own(tmp_path, OWN.replace('operator = ">"', 'operator = ">="')), "me")
    for n, flop in enumerate((10**25 - 1, 10**25, 10**25 + 1)):
        count(ledger, flop, run=f"r{n}", agent=n)
    rows = standing(ledger, TODAY)
    crossed = {
        name: [row["crossed"] for row in rows if row["threshold"] == name] for name in ("eu-aia-51-2", "house-1")
    }
    assert crossed == {"eu-aia-51-2": [False, False, True], "house-1": [False, True, True]}


def test_with_bounds_alone_a_line_is_crossed_only_when_the_lower_one_has(ledger: Ledger) -> None:
    for n, (low, high) in enumerate([(0, 10**25), (0, 10**26), (10**25 + 1, 10**26)]):
        count(ledger, None, low, high, run=f"r{n}", agent=n)
    rows = eu_rows(ledger)
    assert {(row["flop"], row["share"]) for row in rows} == {(None, None)}
    assert [row["crossed"] for row in rows] == [False, None, True]
    assert [row["crossed_by_upper_bound"] for row in rows] == [False, True, True]


def test_a_report_is_consistent_with_a_line_that_lies_within_thirty_percent_of_it(ledger: Ledger) -> None:
    """Of the report: 7.69e24 is below 1e25 / 1.3, 7.7e24 is not."""
    for n, flop in enumerate([769 * 10**22, 770 * 10**22]):
        count(ledger, flop, run=f"r{n}", agent=n)
    assert [(row["crossed"], row["within_margin"]) for row in eu_rows(ledger)] == [(False, False), (False, True)]


def test_integer_operations_count_where_the_text_says_so(ledger: Ledger) -> None:
    count(ledger, 6 * 10**25, int_op=5 * 10**25)
    ledger.publish_catalogue()
    rows = {row["threshold"]: (row["flop"], row["crossed"]) for row in standing(ledger, TODAY)}
    assert (rows["ca-sb53"], rows["kr-ai-basic"]) == ((11 * 10**25, True), (6 * 10**25, False))


def test_what_is_excluded_or_disputed_stands_beside_the_total(ledger: Ledger) -> None:
    for n, purpose in enumerate(("pre-training", "evaluation", "failed segment")):
        count(ledger, 6 * 10**24 * (n + 1), run=f"r{n}", agent=n)
        declare(ledger, Wanted(runs={f"r{n}": {"model_id": "m", "purpose": purpose}}), "me")
    row = stands(ledger, "model", "m", "eu-aia-51-2")
    assert (row["flop"], row["excluded_flop"], row["disputed_flop"]) == (6 * 10**24, 12 * 10**24, 18 * 10**24)
    assert (row["crossed"], row["crossed_with_disputed"]) == (False, True)
    assert stands(ledger, "model", "m", "eu-aia-51-2", policy="everything")["flop"] == 36 * 10**24


def test_a_line_for_some_models_waits_for_what_is_declared_of_them(ledger: Ledger) -> None:
    count(ledger, 10**24)
    declare(ledger, Wanted(runs={"r": {"model_id": "m"}}), "me")
    assert stands(ledger, "model", "m", "eu-gpai-1e23")["condition"] == "not declared"
    declare(ledger, Wanted(models={"m": {"traits": ["generates-images"]}}), "me")
    assert stands(ledger, "model", "m", "eu-gpai-1e23")["condition"] == "declared"
    assert stands(ledger, "run", "r", "eu-gpai-1e23")["condition"] == "declared"


@pytest.mark.parametrize(
    ("original", "traits", "line", "amount"),
    [
        (9 * 10**24, [], "eu-gpai-third", 3 * 10**24),
        (10**25, ["systemic-risk"], "eu-gpai-third", 10**25 // 3),
        (None, [], "eu-gpai-third-sub", 10**23 // 3),
        (None, ["systemic-risk"], "eu-gpai-third-sub-systemic", 10**25 // 3),
    ],
)
def test_a_modification_is_held_against_a_third_of_the_original_or_its_substitute(
    ledger: Ledger, original: int | None, traits: list[str], line: str, amount: int
) -> None:
    runs = {"new": {"model_id": "n", "purpose": "fine-tuning"}, "old": {"model_id": "o", "purpose": "pre-training"}}
    models: dict[str, dict[str, list[str]]] = {"n": {"base": ["o"]}, "o": {"traits": traits}}
    declare(ledger, Wanted(runs=runs, models=models), "me")
    count(ledger, amount + 1, run="new")
    if original is not None:
        append_new(ledger, [correction("old", original, original, original, "as published")], "me")
    ledger.publish_catalogue()
    (row,) = [row for row in standing(ledger, TODAY) if row["subject_kind"] == "modification"]
    assert row["threshold"] == line
    assert (row["original"], row["flop"], row["line_flop"], row["crossed"]) == ("o", amount + 1, amount, True)


def at(days: int) -> date:
    return TODAY + timedelta(days=days)


def test_a_past_day_takes_the_lines_and_the_totals_of_that_day(ledger: Ledger) -> None:
    chain = Chain()
    for days, flop in ((-400, 10**24), (-300, 2 * 10**25), (0, 3 * 10**25)):
        now_ns = NOW_NS + days * 24 * HOUR_NS
        take(ledger, [chain.seal(meter(flop, at_ns=now_ns))])
    ledger.publish_catalogue()
    assert standing(ledger, TODAY, as_of=at(-401)) == [], "nothing had been measured"
    for day, flop, crossed, ca in ((-400, 10**24, False, "coming"), (-300, 2 * 10**25, True, "in force")):
        rows = {row["threshold"]: row for row in standing(ledger, TODAY, as_of=at(day))}
        assert (rows["eu-aia-51-2"]["flop"], rows["eu-aia-51-2"]["crossed"]) == (flop, crossed)
        assert (rows["eu-aia-51-2"]["applies"], rows["ca-sb53"]["applies"]) == ("in force", ca)
        assert "ny-raise" not in rows, "it was adopted later"
        assert crossed_in_force(list(rows.values())) is crossed


def test_the_assessment_of_today_is_the_same_from_meters_and_from_the_curve(ledger: Ledger) -> None:
    chain = Chain()
    for hours in (-50, -2):
        now_ns = NOW_NS + hours * HOUR_NS
        readings = [
            meter((100 + hours) * 10**23, run=run, device=device, at_ns=now_ns, **extra)
            for run in ("a", "b")
            for device, extra in (
                ("d1", {}),
                ("d2", {"purpose": "evaluation"}),
                ("d3", {"basis": "architecture", "method": "reported-run"}),
                ("d4", {"basis": "architecture", "method": "reported-rank"}),
            )
        ]
        take(ledger, [chain.seal(*readings)])
    ledger.publish_catalogue()
    late = replace_today(standing(ledger, at(1), as_of=TODAY))
    assert late == replace_today(standing(ledger, TODAY))
    assert late


def replace_today(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in STANDING_COLUMNS} for row in rows]


def test_an_adjustment_counts_by_its_period(ledger: Ledger) -> None:
    start, end = (f"{at(days)}T00:00:00Z" for days in (-10, -2))
    made = correction("r", 800, 800, 800, "history", period_start=start, period_end=end)
    append_new(ledger, [made], "me")
    rows = [stands(ledger, "run", "r", "eu-aia-51-2", as_of=at(day)) for day in (-9, -3)]
    assert [(row["flop_low"], row["flop"], row["flop_high"]) for row in rows] == [
        (0, 200, 800),
        (800, 800, 800),
    ]


def test_a_day_to_come_and_an_unknown_policy_are_refused(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    with pytest.raises(Refused, match="has not been yet"):
        standing(ledger, TODAY, as_of=at(1))
    with pytest.raises(Refused, match="policy 'mine' is none of: eu-cumulative, "):
        standing(ledger, TODAY, policy="mine")


def gpu(name: str, accelerator: str | None, flop_per_s_max: int | None) -> DeviceRecord:
    return DeviceRecord(name, "gpu", "a GPU", accelerator, 132, 1980, None, "1", "gpm", flop_per_s_max)


def test_a_cluster_is_held_against_lines_on_capacity_by_its_inventory(ledger: Ledger) -> None:
    known = table()[H100]
    devices = tuple(gpu(f"GPU-{n}", H100, known.flop_per_s_max) for n in range(3))
    mig = replace(devices[0], id="MIG-0", kind="mig", parent="GPU-0")
    take(ledger, [Chain().seal(devices=(*devices, mig))])
    row = stands(ledger, "cluster", CLUSTER, "us-bis-2024-cluster")
    dense = known.tensor[known.training_dtype] * known.sm_count * known.clock_tensor_mhz * 10**6
    assert (row["flop"], row["flop_high"]) == (3 * dense, 3 * known.flop_per_s_max)
    assert (row["crossed"], row["applies"], row["condition"]) == (False, "never in force", "not declared")
    take(ledger, [Chain(1).seal(devices=(gpu("GPU-9", None, None),))])
    row = stands(ledger, "cluster", CLUSTER, "us-bis-2024-cluster")
    assert (row["flop"], row["flop_low"], row["flop_high"], row["crossed"]) == (None, 3 * dense, None, None)


OWN = """
[[line]]
id = "house-1"
jurisdiction = "Example Ltd"
instrument = "house rules"
citation = "rule 1"
amount = "1e25"
operator = ">"
unit = "floating-point"
policy = "everything"
status = "in force"
counts = "all of it"
notification = "to the board"
source = "intranet"
"""


def own(tmp_path: Path, text: str = OWN) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return path


def test_a_line_of_the_user_s_own_is_assessed_and_alerted_on_like_any_other(ledger: Ledger, tmp_path: Path) -> None:
    ledger.publish_catalogue()
    assert add(ledger, own(tmp_path), "me") == ["house-1"]
    assert add(ledger, own(tmp_path), "me") == []
    assert add(ledger, own(tmp_path, OWN.replace("1e25", "1e20")), "me") == ["house-1"]
    count(ledger, 2 * 10**20)
    assert stands(ledger, "run", "r", "house-1")["crossed"] is True
    assert "house-1" in {alert.threshold for alert in ledger.raise_alerts("me")}
    assert crossed_in_force(standing(ledger, TODAY))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('operator = ">"', 'operator = "=<"', "line 8: [[line]] house-1: operator: Input should be '>' or '>='"),
        ('policy = "everything"', 'policy = "nothing"', "[[line]] house-1: policy: 'nothing' is none of: "),
        ('id = "house-1"', 'id = "eu-aia-51-2"', "eu-aia-51-2: id: the catalogue has one of this id already"),
        ("[[line]]", "[line]", "line"),
        (
            'status = "in force"',
            'status = "in force"\nin_force_from = "24.12.2026"',
            "[[line]] house-1: in_force_from: ",
        ),
    ],
)
def test_a_wrong_file_is_named_and_changes_nothing(
    ledger: Ledger, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    ledger.publish_catalogue()
    before = ledger.query("SELECT count() FROM journal").rows
    with pytest.raises(Refused) as caught:
        add(ledger, own(tmp_path, OWN.replace(old, new)), "me")
    assert str(caught.value).startswith(str(tmp_path / "own.toml"))
    assert sentence in str(caught.value)
    assert ledger.query("SELECT count() FROM journal").rows == before


def test_a_file_that_is_not_there_is_named(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nowhere"):
        add(ledger, tmp_path / "nowhere.toml", "me")


def test_the_catalogue_is_put_on_record_once_and_read_back_the_same(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    assert due(ledger) == []
    assert lines(ledger) == list(catalogue())
