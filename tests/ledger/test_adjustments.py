from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.adjustments import CORRECTION, IMPORT, MAX_FLOP, Adjustment, append_new, correction, known_run
from ledger.declarations import PURPOSES
from ledger.errors import Refused
from tests.ledger.chains import Chain, empty, meter, take
from tests.ledger.engine import Clock, opened
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store

IMPORTED = Adjustment(
    IMPORT,
    "r",
    5 * 10**24,
    4 * 10**24,
    6 * 10**24,
    "GPU-hours before the agents",
    "csv:1",
    source="csv",
    purpose="pre-training",
    period_start="2025-01-01T00:00:00Z",
    period_end="2025-02-01T00:00:00Z",
    assumptions=("dense bf16 peak", "40 % utilisation"),
)
WRONG: list[tuple[str, Any, str]] = [
    ("kind", "gift", "kind: 'gift' is none of: import, correction"),
    ("run_id", "", "run_id: a run cannot be called ''"),
    ("run_id", UNATTRIBUTED, "run_id: a run cannot be called 'unattributed'"),
    ("run_id", "r" * 513, "run_id: "),
    ("purpose", "training", "purpose: 'training' is none of: pre-training, "),
    ("basis", "guess", "basis: 'guess' is none of: hardware, architecture"),
    ("source", "rumour", "source: 'rumour' is none of: csv, "),
    ("reason", " ", "reason: must be given"),
    ("reason", "x" * 4_097, "reason: must be given, in at most 4096 characters"),
    ("key", "", "key: must be given"),
    ("assumptions", ("",), "assumptions: must be given"),
    ("flop", 7 * 10**24, "flop_high: bounds out of order"),
    ("flop", 3 * 10**24, "flop_low: bounds out of order"),
    ("flop_low", -1, "flop_low: -1: nothing can have computed less than nothing"),
    ("flop_high", 2**128, "flop_high: an amount of 2^128 FLOP or more"),
    ("period_start", "yesterday", "period_start: 'yesterday': not an RFC 3339 time in UTC"),
    ("period_end", "2025-02-30T00:00:00Z", "period_end: "),
    ("period_end", "9999-01-01T00:00:00Z", "period_end: '9999-01-01T00:00:00Z' makes no sense: times end in 2262"),
    ("period_end", "2024-12-31T00:00:00Z", "period_end: 2024-12-31T00:00:00Z comes before the start"),
]


def on_record(ledger: Ledger) -> list[dict[str, Any]]:
    return ledger.query("SELECT * FROM adjustments ORDER BY entry_index").dicts()


@pytest.mark.parametrize(("field", "value", "sentence"), WRONG)
def test_what_makes_no_sense_is_refused_by_the_name_of_its_field(field: str, value: object, sentence: str) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(Refused) as caught:
        replace(IMPORTED, **changes).statement("me")
    assert str(caught.value).startswith(sentence)


def test_nobody_can_adjust_without_a_name() -> None:
    with pytest.raises(Refused, match="author: must be given"):
        IMPORTED.statement("")


def test_a_correction_by_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="flop: a correction by 0 FLOP changes nothing"):
        correction("r", 0, 0, 0, "why").statement("me")


def test_all_that_is_stated_is_read_back(ledger: Ledger) -> None:
    append_new(ledger, [IMPORTED], "Ada")
    (found,) = on_record(ledger)
    assert found["period_start"].isoformat() == "2025-01-01T00:00:00+00:00"
    assert (found["kind"], found["method"], found["author"]) == (IMPORT, "imported", "Ada")
    for field in ("run_id", "purpose", "basis", "source", "flop", "flop_low", "flop_high", "reason", "key"):
        assert found[field] == getattr(IMPORTED, field)
    assert tuple(found["assumptions"]) == IMPORTED.assumptions


def test_a_correction_stands_beside_what_was_measured_and_changes_none_of_it(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(10, 5, 20))])
    measured = ledger.query("SELECT * FROM run_totals").rows
    append_new(ledger, [correction("r", -3, -4, -2, "counted twice")], "me")
    assert ledger.query("SELECT * FROM run_totals").rows == measured
    (found,) = on_record(ledger)
    assert (found["kind"], found["flop"], found["flop_low"], found["flop_high"]) == (CORRECTION, -3, -4, -2)
    assert (found["period_start"], found["period_end"]) == (None, None)


def test_the_same_twice_counts_once(ledger: Ledger) -> None:
    other = replace(IMPORTED, key="csv:2")
    assert append_new(ledger, [IMPORTED, IMPORTED], "me").indices == (0,)
    again = append_new(ledger, [IMPORTED, other], "me")
    assert (again.indices, again.fresh, again.known, again.differing) == ((1,), (other,), (IMPORTED,), ())
    assert [row["key"] for row in on_record(ledger)] == ["csv:1", "csv:2"]


def test_another_amount_under_a_key_on_record_is_told_and_not_written(ledger: Ledger) -> None:
    append_new(ledger, [IMPORTED], "me")
    changed = replace(IMPORTED, flop_high=9 * 10**24)
    assert append_new(ledger, [changed], "me").differing == (changed,)
    assert [row["flop_high"] for row in on_record(ledger)] == [IMPORTED.flop_high]


def test_of_entries_with_one_key_the_first_counts_whoever_wrote_them(ledger: Ledger) -> None:
    ledger.append([IMPORTED.statement("first"), replace(IMPORTED, flop_high=9 * 10**24).statement("second")])
    assert [row["author"] for row in on_record(ledger)] == ["first"]


def test_nothing_is_written_when_one_makes_no_sense(ledger: Ledger) -> None:
    with pytest.raises(Refused, match="purpose"):
        append_new(ledger, [IMPORTED, replace(IMPORTED, key="csv:2", purpose="fun")], "me")
    assert on_record(ledger) == []


def test_the_same_correction_said_twice_has_one_key() -> None:
    keys = {
        correction("r", -3, -3, -3, "counted twice").key,
        correction("r", -3, -3, -3, "counted twice").key,
        correction("r", -3, -3, -3, "counted twice, again").key,
        correction("s", -3, -3, -3, "counted twice").key,
    }
    assert len(keys) == 3


def test_a_run_is_known_once_it_was_measured_or_imported(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(1, run="measured"))])
    append_new(ledger, [replace(IMPORTED, run_id="imported")], "me")
    assert [known_run(ledger, run) for run in ("measured", "imported", "neither")] == [True, True, False]


AMOUNTS = st.lists(st.integers(1 - MAX_FLOP, MAX_FLOP - 1), min_size=3, max_size=3).map(sorted)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, st.booleans(), st.sampled_from(("", *PURPOSES)), st.text(min_size=1)), max_size=4))
def test_every_signed_amount_is_read_back_to_the_last_digit(engine: Store, stated: list[Any]) -> None:
    empty(engine)
    ledger = opened(engine, Clock())
    made = [
        Adjustment(CORRECTION, "r", flop if pointed else None, low, high, f".{reason}", f"hand:{n}", purpose=purpose)
        for n, ((low, flop, high), pointed, purpose, reason) in enumerate(stated)
        if (low, high) != (0, 0)
    ]
    append_new(ledger, made, "me")
    found = [
        (row["flop"], row["flop_low"], row["flop_high"], row["purpose"], row["reason"]) for row in on_record(ledger)
    ]
    assert found == [(item.flop, item.flop_low, item.flop_high, item.purpose, item.reason) for item in made]
