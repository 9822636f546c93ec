from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.batches import AGENT, FLOP, KEY, KEYS, batch, batches, reading
from wire.batch import COLUMNS, MAX_FLOP, Batch, Readings
from wire.errors import Unauthentic
from wire.opening import authenticate, from_headers, open_batch
from wire.seal import Sealed, encode, key_id, seal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEALED = seal(batch(), KEY)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches())
def test_opening_gives_back_what_was_sealed(sealed: Batch) -> None:
    assert open_batch(seal(sealed, KEY)) == sealed


def test_it_travels_as_body_and_headers() -> None:
    assert from_headers(SEALED.body, SEALED.headers()) == SEALED


@given(KEYS)
def test_what_any_key_sealed_opens_under_its_name(key: Ed25519PrivateKey) -> None:
    name = key_id(key.public_key())
    assert open_batch(seal(batch(agent=name), key)).agent == name


@given(st.tuples(FLOP, FLOP, FLOP).map(sorted), FLOP)
def test_integers_survive_exactly(bounds: list[int], int_op: int) -> None:
    low, flop, high = bounds
    row = reading(flop=flop, flop_low=low, flop_high=high, int_op=int_op)
    assert list(open_batch(seal(batch(row), KEY)).readings.rows()) == [row]


@pytest.mark.parametrize(
    "flop", [0, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, 10**25, 10**30 - 1, 10**30, MAX_FLOP]
)
def test_integers_past_what_a_double_or_a_word_holds_survive_exactly(flop: int) -> None:
    (found,) = open_batch(seal(batch(reading(flop=flop, flop_low=flop, flop_high=flop)), KEY)).readings.rows()
    assert (found.flop, found.flop_low, found.flop_high) == (flop, flop, flop)


def test_big_integers_are_decimal_strings_on_the_wire() -> None:
    rows = [reading(n, flop=n * 10**30, flop_high=n * 10**31) for n in (1, 2, 5)]
    columns = json.loads(encode(batch(*rows)))["readings"]
    assert columns["flop"] == ["1" + "0" * 30, "1" + "0" * 30, "3" + "0" * 30]


def test_columns_without_a_value_are_left_out() -> None:
    columns = json.loads(encode(batch(reading(flop=None, busy_ns=None, tokens=4))))["readings"]
    assert set(columns) == {"meters", "count", "at_ns", "flop_low", "flop_high", "tokens"}


def test_no_readings_are_no_rows() -> None:
    empty = Readings.from_rows([])
    assert (len(empty), list(empty.rows()), set(empty.columns)) == (0, [], set(COLUMNS))
    assert open_batch(seal(batch(readings=empty), KEY)).readings == empty


def test_readings_stand_meter_by_meter() -> None:
    rows = [reading(n, run=run) for n, run in enumerate("abab")]
    readings = Readings.from_rows(rows)
    assert [(row.run, row.at_ns) for row in readings.rows()] == [("a", 0), ("a", 2), ("b", 1), ("b", 3)]
    assert (readings.counts, readings.last("at_ns")) == ([2, 2], [2, 3])
    assert open_batch(seal(batch(*rows), KEY)).readings == readings


def test_readings_are_equal_and_hash_by_their_rows() -> None:
    one, same, other = (Readings.from_rows([reading(run=run)]) for run in ("a", "a", "b"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert repr(one) == f"Readings([{reading(run='a')!r}])"


def test_an_auditor_needs_no_code_of_ours_to_check_a_batch() -> None:
    assert hashlib.sha256(SEALED.body).digest() == SEALED.sha256
    assert json.loads(SEALED.body)["agent"] == SEALED.key_id == AGENT
    raw = KEY.public_key().public_bytes_raw()
    assert base64.urlsafe_b64decode(AGENT + "=") == raw
    KEY.public_key().verify(SEALED.signature, SEALED.body)
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(SEALED.signature, SEALED.body + b" ")


def with_part(where: str, value: bytes) -> Sealed:
    changes: dict[str, Any] = {where: value}
    return replace(SEALED, **changes)


CHANGED_BYTE = settings(deadline=None, max_examples=150)


@CHANGED_BYTE
@given(st.sampled_from(["body", "sha256", "signature"]), st.data())
def test_any_changed_byte_is_refused(where: str, data: st.DataObject) -> None:
    intact: bytes = getattr(SEALED, where)
    position = data.draw(st.integers(0, len(intact) - 1), "position")
    value = data.draw(st.integers(0, 255).filter(lambda value: value != intact[position]), "value")
    with pytest.raises(Unauthentic, match="does not fit the bytes"):
        open_batch(with_part(where, intact[:position] + bytes([value]) + intact[position + 1 :]))


@CHANGED_BYTE
@given(st.integers(0, len(AGENT) - 1), st.characters())
def test_any_changed_character_of_the_key_id_is_refused(position: int, value: str) -> None:
    forged = AGENT[:position] + value + AGENT[position + 1 :]
    if forged != AGENT:
        with pytest.raises(Unauthentic):
            open_batch(replace(SEALED, key_id=forged))


@CHANGED_BYTE
@given(st.sampled_from(["body", "sha256", "signature"]), st.data())
def test_a_byte_more_or_less_is_refused(where: str, data: st.DataObject) -> None:
    intact: bytes = getattr(SEALED, where)
    position = data.draw(st.integers(0, len(intact) - 1), "position")
    added = data.draw(st.binary(min_size=1, max_size=2) | st.none(), "added")
    rest = intact[position:] if added else intact[position + 1 :]
    with pytest.raises(Unauthentic):
        open_batch(with_part(where, intact[:position] + (added or b"") + rest))


def test_bytes_that_another_key_hashed_anew_are_refused() -> None:
    body = SEALED.body.replace(b'"seq":3', b'"seq":4')
    forged = Sealed(body, hashlib.sha256(body).digest(), AGENT, SEALED.signature)
    with pytest.raises(Unauthentic, match="signature: does not fit the bytes"):
        authenticate(forged)
