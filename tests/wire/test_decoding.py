from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.batches import batch, batches, reading, signed, spoilt
from wire.batch import BIG_COLUMNS, COLUMNS, COUNTER_COLUMNS, KEY_COLUMNS, MAX_COUNTER, MAX_FLOP, SMALL_COLUMNS, Reading
from wire.decoding import MAX_ROWS, decode
from wire.encoding import encode
from wire.errors import Malformed
from wire.opening import open_batch

if TYPE_CHECKING:
    from wire.batch import Batch

Body = dict[str, Any]
REQUIRED = ("at_ns", "flop_low", "flop_high")


def body(**changes: Any) -> Body:
    """Two meters of two readings each."""
    key = {"purpose": "p", "basis": "hardware", "method": "m", "dtype": "bf16", "attribution": "exact"}
    readings = {
        "meters": {**key, "run": ["r", "s"], "device": "d"},
        "count": 2,
        "at_ns": [5, 1, 6, 2],
        "flop_low": [1, 1, 1, 1],
        "flop_high": [9, 9, 9, 9],
    }
    return {**readings, **changes}


def meters(**changes: Any) -> Body:
    return body(meters={**body()["meters"], **changes})


def refused(sent: object) -> str:
    with pytest.raises(Malformed) as caught:
        decode(sent)
    return str(caught.value)


def column(name: str, **changes: Any) -> list[Any]:
    readings = decode(body(**changes))
    values = list(readings.columns[name])
    assert readings.last(name) == [values[1], values[3]]
    return values


@given(batches())
def test_what_was_encoded_is_decoded_from_json(sent: Batch) -> None:
    assert decode(orjson.loads(orjson.dumps(encode(sent.readings)))) == sent.readings


@given(batches())
def test_the_last_values_are_those_at_the_end_of_each_meter(sent: Batch) -> None:
    readings = decode(encode(sent.readings))
    for name in ("at_ns", *COUNTER_COLUMNS):
        assert list(readings.last(name)) == [readings.columns[name][end - 1] for _, end in readings.spans()]


def test_a_list_holds_what_each_reading_adds_within_its_meter() -> None:
    assert column("at_ns") == [5, 6, 6, 8]
    assert column("tokens", tokens=[None, 3, 4, 0]) == [None, 3, 4, 4]


def test_a_list_as_long_as_one_meter_holds_for_all() -> None:
    assert column("tokens", tokens=[3, 4]) == [3, 7, 3, 7]


def test_a_number_is_added_by_every_reading() -> None:
    assert column("tokens", tokens=5) == [5, 10, 5, 10]
    assert column("flop_high", flop_high=str(2**100)) == [2**100, 2**101] * 2


def test_what_every_reading_adds_at_least_may_stand_apart() -> None:
    assert column("tokens", tokens={"of": {"rows": 100}, "plus": [1, 2, 3, 4]}) == [101, 203, 103, 207]


def test_a_column_may_be_made_of_others() -> None:
    of = {"tensor_cycles": [10, 20, 30, 40], "fp32_cycles": [None, 1, 2, 3]}
    made = {"of": {"tensor_cycles": 7, "fp32_cycles": 3}, "per": 2}
    assert column("flop_high", flop_high=made, **of) == [35, 106, 108, 252]
    assert column("flop_high", flop_high={**made, "plus": [5, 0, 0, -1]}, **of) == [40, 111, 108, 251]
    assert column("flop", flop={"of": {"tensor_cycles": 1}, "plus": [None, -27, -29, -38]}, **of) == [None, 3, 1, 3]


def test_columns_follow_from_each_other_where_that_is_shorter() -> None:
    rows = []
    for n in range(1, 9):
        cycles, vector = n * 10**15 + n**3, n * n * 10**12 + n**5
        low, high = 4096 * cycles * 98 // 100, -(-(4096 * cycles + 256 * vector) * 102 // 100)
        values = {"tensor_cycles": cycles, "hmma_cycles": cycles, "fp32_cycles": vector, "busy_ns": None}
        rows.append(reading(n, flop=4096 * cycles, flop_low=low, flop_high=high, **values))
    written = encode(batch(*rows).readings)
    assert written["hmma_cycles"] == {"of": {"tensor_cycles": 1}}
    assert written["flop"] == {"of": {"tensor_cycles": 4096}}
    assert written["flop_low"] == {"of": {"tensor_cycles": 200704}, "per": 50}
    assert written["flop_high"]["of"] == {"tensor_cycles": 208896, "fp32_cycles": 13056}
    assert list(decode(written).rows()) == rows


@pytest.mark.parametrize("name", COUNTER_COLUMNS)
def test_what_goes_back_is_not_encoded(name: str) -> None:
    full: dict[str, Any] = dict.fromkeys(COUNTER_COLUMNS, 5)
    for after in (4, None):
        with pytest.raises(ValueError, match=f"readings.{name}: a counter that goes back"):
            encode(batch(reading(**full), reading(**{**full, name: after})).readings)


def test_more_readings_than_a_batch_may_hold_are_not_encoded() -> None:
    with pytest.raises(ValueError, match="65537 readings, more than 65536"):
        encode(batch(*[reading()] * (MAX_ROWS + 1)).readings)


@pytest.mark.parametrize("name", ["at_ns", *COUNTER_COLUMNS])
@pytest.mark.parametrize("length", [0, 1, 3, 5])
def test_a_column_of_another_length_is_refused(name: str, length: int) -> None:
    assert refused(body(**{name: [1] * length})) == f"readings.{name}: {length} values where there are 4 readings"


@pytest.mark.parametrize("name", ["at_ns", *COUNTER_COLUMNS])
@pytest.mark.parametrize("value", [1.5, 1.0, 1e40, True, "", "x", "1.0", [1], {}, "1" * 40, "01", " 1", "1_0", "٣"])
def test_what_is_no_whole_number_is_refused(name: str, value: Any) -> None:
    assert refused(body(**{name: [1, value, 1, 1]})).startswith(
        f"readings.{name}[1]: neither" if name in BIG_COLUMNS else f"readings.{name}[1]: not a whole number"
    )
    if not isinstance(value, list | dict):
        assert refused(body(**{name: value})).startswith(f"readings.{name}: n")


@pytest.mark.parametrize("name", SMALL_COLUMNS)
def test_small_counters_are_no_text(name: str) -> None:
    assert refused(body(**{name: [1, "1", 1, 1]})) == f"readings.{name}[1]: not a whole number"


@pytest.mark.parametrize("name", ["at_ns", *COUNTER_COLUMNS])
def test_a_counter_that_goes_back_is_refused(name: str) -> None:
    goes_back = "a counter that goes back"
    assert refused(body(**{name: [5, 5, 5, -1]})) == f"readings.{name}[3]: {goes_back}"
    assert refused(body(**{name: [5, 5, -1, 1]})) == f"readings.{name}[2]: {goes_back}"
    assert refused(body(**{name: -1})) == f"readings.{name}[0]: {goes_back}"
    assert refused(body(**{name: {"of": {"rows": 5}, "plus": [1, 1, -1, 1]}})) == f"readings.{name}[2]: {goes_back}"
    assert refused(body(**{name: {"of": {"rows": -1}, "plus": 9}})) == f"readings.{name}[0]: {goes_back}"
    of = "tokens" if name != "tokens" else "gap_ns"
    made = {"of": {of: 2}, "plus": [0, 0, 0, -3]}
    assert refused(body(**{name: made, of: [5, 1, 5, 1]})) == f"readings.{name}[3]: {goes_back}"
    assert refused(body(**{name: {"of": {of: -2}}, of: [5, 1, 5, 1]})) == f"readings.{name}[0]: {goes_back}"


@pytest.mark.parametrize("name", [name for name in COUNTER_COLUMNS if name not in REQUIRED])
def test_after_a_value_no_null_may_come(name: str) -> None:
    assert refused(body(**{name: [5, None, 5, 5]})) == f"readings.{name}[1]: not measured any more"
    assert (
        refused(body(**{name: {"of": {"rows": 1}, "plus": [0, 0, 5, None]}}))
        == f"readings.{name}[3]: not measured any more"
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_column_holds_a_value_in_every_row(name: str) -> None:
    assert refused(body(**{name: None})) == f"readings.{name}: missing"
    assert refused({key: value for key, value in body().items() if key != name}) == f"readings.{name}: missing"
    assert refused(body(**{name: [1, 1, None, 1]})) == f"readings.{name}[2]: missing"
    assert refused(body(**{name: {"of": {"rows": 1}, "plus": [None, 1, 1, 1]}})) == f"readings.{name}[0]: missing"


@pytest.mark.parametrize("name", ["at_ns", *COUNTER_COLUMNS])
def test_past_what_a_counter_holds_is_refused(name: str) -> None:
    most, bits = (MAX_FLOP, 128) if name in BIG_COLUMNS else (MAX_COUNTER, 63)
    half = str(most // 2 + 1) if name in BIG_COLUMNS else most // 2 + 1
    other = "tokens" if name == "gap_ns" else "gap_ns"
    for sent in ([0, 0, half, half], half, {"of": {"rows": 1}, "plus": half}, {"of": {other: 1}, "plus": half}):
        changes: Body = {"flop_high": str(MAX_FLOP // 2), other: 1, name: sent}
        assert refused(body(**changes)) == f"readings.{name}: past 2^{bits}"


def test_ten_to_the_forty_flop_are_refused() -> None:
    neither = "neither a whole number nor the decimal digits of one"
    for sent in (10**40, "1" + "0" * 40, 1e40):
        parsed = orjson.loads(orjson.dumps(sent)) if isinstance(sent, str | float) else orjson.loads(b"1" + b"0" * 40)
        assert refused(body(flop_high=[parsed, 0, 0, 0])) == f"readings.flop_high[0]: {neither}"
    assert refused(body(flop_high=[str(2**128), 0, 9, 0])) == "readings.flop_high: past 2^128"


@pytest.mark.parametrize(
    ("flop", "low", "high"), [(5, 6, 7), (8, 6, 7), (None, 7, 6), (6, 7, 5), (0, 1, 1), (None, 1, 0)]
)
def test_bounds_out_of_order_are_refused(flop: int | None, low: int, high: int) -> None:
    rows: Body = {"flop": [1, 0, 0, flop], "flop_low": [1, 0, 0, low], "flop_high": [1, 0, 0, high]}
    if flop is None:
        rows["flop"] = [1, 0, None, None]
    assert refused(body(**rows)) == "readings.flop[3]: flop_low ≤ flop ≤ flop_high does not hold"


def test_bounds_are_those_of_the_counters_and_not_of_what_was_added() -> None:
    assert column("flop", flop=[5, 1, 5, 9], flop_low=[1, 4, 1, 1], flop_high=[9, 0, 9, 9]) == [5, 6, 5, 14]


@pytest.mark.parametrize("name", KEY_COLUMNS)
@pytest.mark.parametrize(
    "value", ["", "x" * 513, 7, None, ["r"], ["r", ""], ["r", 7], ["r", "x" * 513], ["r", None], {}]
)
def test_a_name_that_is_none_is_refused(name: str, value: Any) -> None:
    assert refused(meters(**{name: value})).startswith(
        f"readings.meters.{'run' if value == ['r'] and name == 'run' else name}: "
    ) or value == ["r"]
    left = {key: part for key, part in body()["meters"].items() if key != name}
    assert refused(body(meters=left)) == f"readings.meters.{name}: neither a text nor a list of texts"


@pytest.mark.parametrize("name", ["basis", "attribution"])
def test_what_a_basis_or_attribution_may_be_is_a_list(name: str) -> None:
    for value in ("guess", "Hardware", ["exact", "guess"]):
        assert refused(meters(**{name: value})).startswith(f"readings.meters.{name}: none of ")


def test_a_meter_stands_in_a_batch_once() -> None:
    assert refused(meters(run=["r", "r"])) == "readings.meters: the same meter twice"


@pytest.mark.parametrize("count", [0, -1, True, 1.0, "2", None, [2], [2, 0], [2, 2.0], [2, True], [1, 1, 1], {}])
def test_a_count_that_is_none_is_refused(count: Any) -> None:
    assert refused(body(count=count)).startswith("readings.count: ")


def test_a_batch_cannot_claim_more_readings_than_it_may_hold() -> None:
    everywhere = dict.fromkeys(("at_ns", "flop_low", "flop_high"), 0)
    for count in (10**18, MAX_ROWS, [MAX_ROWS, 1]):
        assert refused(body(count=count, **everywhere)) == "readings.count: more than 65536 readings"
    assert len(decode(body(count=MAX_ROWS // 2, **everywhere))) == MAX_ROWS


@pytest.mark.parametrize(
    ("of", "field"),
    [
        ({"flop_low": 1}, "of.flop_low"),
        ({"flop": 1}, "of.flop"),
        ({"run": 1}, "of.run"),
        ({"invented": 1}, "of.invented"),
        ({"busy_ns": 1}, "of.busy_ns"),
        ({"tokens": 1}, "of.tokens"),
        ({"gap_ns": 1.0}, "of.gap_ns"),
        ({"gap_ns": "1"}, "of.gap_ns"),
        ({"gap_ns": True}, "of.gap_ns"),
        ({"gap_ns": 2**63}, "of.gap_ns"),
        ({"rows": None}, "of.rows"),
        ({}, "of"),
        (None, "of"),
        ([], "of"),
        ("gap_ns", "of"),
    ],
)
def test_a_column_is_made_only_of_columns_that_are_listed(of: Any, field: str) -> None:
    made = body(tokens={"of": of}, gap_ns=1, busy_ns={"of": {"gap_ns": 1}})
    assert refused(made).startswith(f"readings.tokens.{field}: ")


@pytest.mark.parametrize("per", [0, -1, 1.0, "1", None, True, 2**63])
def test_what_divides_is_a_whole_number_from_1(per: Any) -> None:
    assert (
        refused(body(tokens={"of": {"gap_ns": 1}, "per": per}, gap_ns=1))
        == "readings.tokens.per: not a whole number from 1"
    )


def test_rows_alone_are_not_divided() -> None:
    assert refused(body(tokens={"of": {"rows": 1}, "per": 2})) == "readings.tokens.per: rows are not divided"


@pytest.mark.parametrize("sent", [None, [], "readings", 7])
def test_readings_are_an_object(sent: Any) -> None:
    assert refused(sent) == "readings: not an object"
    assert refused(body(meters=sent)) == "readings.meters: not an object"


def test_keys_of_later_versions_are_ignored() -> None:
    later = {"invented_later": [1.5, {"deep": None}]}
    sent = body(**later, tokens={"of": {"rows": 1}, **later})
    sent["meters"].update(later)
    assert decode(sent) == decode(body(tokens=1))


def test_an_optional_column_that_is_null_is_one_left_out() -> None:
    assert decode(body(tokens=None)) == decode(body())


def test_what_is_refused_in_a_signed_batch_is_named_with_its_place() -> None:
    def change(sent: Body) -> None:
        sent["readings"]["tokens"] = [1, -1]

    with pytest.raises(Malformed, match=r"^readings\.tokens\[1\]: a counter that goes back$"):
        open_batch(spoilt(change))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 2**64)
    | st.floats()
    | st.sampled_from(["", "7", "-7", "rows", "gap_ns"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["of", "per", "plus", "rows", "gap_ns", "run"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["meters", "count", *COLUMNS]), JSON, max_size=3))
def test_whatever_stands_in_a_body_is_decoded_or_refused(changes: Body) -> None:
    try:
        readings = decode(body(**changes))
    except Malformed:
        return
    rows = list(readings.rows())
    assert len(rows) == len(readings) <= MAX_ROWS
    for row in rows:
        assert isinstance(row, Reading)
        assert 0 <= row.flop_low <= (row.flop_low if row.flop is None else row.flop) <= row.flop_high <= MAX_FLOP
    assert decode(encode(readings)) == readings


def test_bytes_of_an_older_form_are_refused() -> None:
    with pytest.raises(Malformed):
        open_batch(signed(orjson.dumps({"schema": "flopledger.batch/1", "readings": {"at_ns": [1]}})))
