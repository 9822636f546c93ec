from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.precision import Dtype
from ledger.declarations import PURPOSES, Declaration, declared
from ledger.errors import Refused
from tests.ledger.chains import Chain, empty, meter, take
from tests.ledger.engine import Clock, opened
from wire.batch import UNATTRIBUTED
from wire.rfc3339 import parse_ns

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store

FULL = Declaration("r", "m", "pre-training", "bf16", 38 * 10**24, "2026-12-24T18:30:00Z", 16_384)
WRONG: list[tuple[str, Any, str]] = [
    ("run_id", "", "a run cannot be called ''"),
    ("run_id", UNATTRIBUTED, "a run cannot be called 'unattributed'"),
    ("run_id", "r" * 513, "at most 512 characters"),
    ("model_id", "m" * 513, "at most 512 characters"),
    ("purpose", "training", "purpose 'training' is none of: pre-training, "),
    ("dtype", "bfloat16", "dtype 'bfloat16' is none of: fp64, "),
    ("planned_flop", 0, "a budget of 0 FLOP makes no sense"),
    ("planned_flop", -1, "a budget of -1 FLOP makes no sense"),
    ("planned_flop", 2**128, "makes no sense: leave it out, or give what is planned"),
    ("planned_end", "2026-12-24", "not an RFC 3339 time in UTC, such as 2026-11-23T00:00:00Z"),
    ("planned_end", "2026-12-24T18:30:00+01:00", "not an RFC 3339 time in UTC"),
    ("planned_end", "2026-02-30T00:00:00Z", "planned end '2026-02-30T00:00:00Z': day"),
    ("planned_end", "9999-01-01T00:00:00Z", "times end in 2262"),
    ("devices", 0, "a world size of 0 devices makes no sense"),
    ("devices", -8, "a world size of -8 devices makes no sense"),
    ("devices", 2**32, "makes no sense"),
]


def declare(ledger: Ledger, *declarations: Declaration) -> None:
    ledger.append([declaration.statement("me") for declaration in declarations])


def run(ledger: Ledger, run_id: str = "r") -> dict[str, Any]:
    (found,) = ledger.query("SELECT * FROM runs WHERE run_id = {run:String}", {"run": run_id}).dicts()
    return found


@pytest.mark.parametrize(("field", "value", "sentence"), WRONG)
def test_what_makes_no_sense_is_refused_in_a_sentence(field: str, value: object, sentence: str) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(Refused) as caught:
        replace(FULL, **changes).statement("me")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("purpose", ["", *PURPOSES])
def test_every_purpose_can_be_declared(purpose: str) -> None:
    assert replace(FULL, purpose=purpose).statement("me").data["purpose"] == purpose


@pytest.mark.parametrize("dtype", ["", *Dtype])
def test_every_format_can_be_declared(dtype: str) -> None:
    assert replace(FULL, dtype=dtype).statement("me").data["dtype"] == dtype


def test_the_last_declaration_of_a_run_holds(ledger: Ledger) -> None:
    declare(ledger, replace(FULL, model_id="first"), FULL)
    assert declared(ledger, "r") == FULL
    assert (run(ledger)["declared"], run(ledger)["measured"]) == (True, False)


def test_what_the_last_declaration_leaves_open_is_open(ledger: Ledger) -> None:
    declare(ledger, FULL, Declaration("r"))
    assert declared(ledger, "r") == Declaration("r")


def test_earlier_declarations_stay_in_the_journal(ledger: Ledger) -> None:
    declare(ledger, replace(FULL, planned_flop=1), replace(FULL, planned_flop=2))
    rows = ledger.query("SELECT body FROM journal WHERE kind = 'run' ORDER BY entry_index").rows
    assert [orjson.loads(row[0])["data"]["planned_flop"] for row in rows] == ["1", "2"]


def test_a_run_that_was_only_measured_is_there_with_nothing_declared(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(5, run="measured"), meter(5, run=UNATTRIBUTED))])
    declare(ledger, FULL)
    assert declared(ledger, "measured") == Declaration("measured")
    assert (run(ledger, "measured")["declared"], run(ledger, "measured")["measured"]) == (False, True)
    assert [row[0] for row in ledger.query("SELECT run_id FROM runs ORDER BY run_id").rows] == ["measured", "r"]


def test_a_run_can_be_declared_and_measured(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(5))])
    declare(ledger, FULL)
    assert declared(ledger, "r") == FULL
    assert (run(ledger)["declared"], run(ledger)["measured"]) == (True, True)


def test_a_run_that_nobody_knows_has_an_empty_declaration(ledger: Ledger) -> None:
    assert declared(ledger, "nobody") == Declaration("nobody")


DECLARATIONS = st.builds(
    Declaration,
    run_id=st.text(min_size=1, max_size=20).filter(lambda name: name != UNATTRIBUTED),
    model_id=st.text(max_size=20),
    purpose=st.sampled_from(["", *PURPOSES]),
    dtype=st.sampled_from(["", *(dtype.value for dtype in Dtype)]),
    planned_flop=st.none() | st.integers(1, 2**128 - 1),
    planned_end=st.none() | st.sampled_from(["1970-01-01T00:00:00Z", "2262-04-11T23:47:16Z", "2026-01-01T00:00:00.5Z"]),
    devices=st.none() | st.integers(1, 2**32 - 1),
    parent=st.text(max_size=20),
)


@settings(max_examples=15, deadline=None)
@given(DECLARATIONS)
def test_whatever_can_be_declared_is_read_back_the_same(engine: Store, declaration: Declaration) -> None:
    empty(engine)
    ledger = opened(engine, Clock())
    declare(ledger, declaration)
    found = declared(ledger, declaration.run_id)
    assert [run.planned_end and parse_ns(run.planned_end) for run in (found, declaration)] == [
        declaration.planned_end and parse_ns(declaration.planned_end)
    ] * 2
    assert replace(found, planned_end=declaration.planned_end) == declaration
