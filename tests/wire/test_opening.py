from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.batches import AGENT, Body, batch, signed, spoilt
from wire.batch import MAX_COUNTER, MAX_FLOP
from wire.errors import Malformed, Unauthentic, WireError
from wire.opening import MAX_SIZE, decode, from_headers, open_batch
from wire.seal import MAX_BODY_BYTES, encode
from wire.signature import public_key

if TYPE_CHECKING:
    from collections.abc import Callable


def refused(change: Callable[[Body], object]) -> Malformed:
    with pytest.raises(Malformed) as caught:
        open_batch(spoilt(change))
    return caught.value


def put(value: Any, *path: str | int) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        at: Any = body
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


def test_the_batch_to_spoil_is_well_formed() -> None:
    assert open_batch(spoilt(lambda _: None)) == batch()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("devices", 0, "kind"), "tpu"),
        (("schema",), "flopledger.batch/2"),
        (("schema",), "flopledger.batch/1 "),
        (("schema",), None),
        (("cluster",), ""),
        (("cluster",), None),
        (("node",), 5),
        (("rates",), "x" * 65),
        (("seq",), -1),
        (("seq",), "3"),
        (("seq",), 3.0),
        (("seq",), True),
        (("seq",), MAX_COUNTER + 1),
        (("agent",), AGENT + "="),
        (("agent",), AGENT[:-1]),
        (("chain",), "{0199e2f0-0000-7000-8000-000000000001}"),
        (("chain",), "0199E2F0-0000-7000-8000-00000000000A"),
        (("chain",), "0199e2f000007000800000000000000100000"),
        (("chain",), "0199e2f000007000-8000-000000000000001"),
        (("chain",), "g199e2f0-0000-7000-8000-000000000001"),
        (("incarnation",), "urn:uuid:0199e2f000007000800000000001"),
        (("incarnation",), "0199e2f0-0000-7000-8000-00000000000B"),
        (("sealed_at",), 5),
        (("sealed_at",), "2026-11-23T14:25:00+00:00"),
        (("sealed_at",), "2026-13-23T14:25:00Z"),
        (("sealed_at",), "1969-12-31T23:59:59Z"),
        (("sealed_at",), "2262-04-12T00:00:00Z"),
        (("prev",), "AB" * 32),
        (("prev",), "ab" * 31),
        (("prev",), 7),
        (("devices", 0, "id"), ""),
        (("devices", 0, "units"), -1),
        (("devices", 0, "units"), MAX_SIZE + 1),
        (("devices", 0, "clock_max_mhz"), MAX_SIZE + 1),
        (("devices", 0, "flop_per_s_max"), 5),
        (("devices", 0, "flop_per_s_max"), str(MAX_FLOP + 1)),
        (("events", 0, "kind"), ""),
        (("events", 0, "at_ns"), -1),
        (("events", 0, "device"), ""),
        (("events", 0, "detail"), None),
        (("readings",), None),
        (("readings",), []),
        (("devices",), None),
    ],
)
def test_every_field_is_checked_and_named(path: tuple[str | int, ...], value: Any) -> None:
    assert refused(put(value, *path)).field == ".".join(map(str, path))


@pytest.mark.parametrize("value", [1.5, True, [], "detail"])
def test_details_of_an_event_are_texts_or_integers(value: Any) -> None:
    change = put(value, "events", 0, "detail") if value == "detail" else put(value, "events", 0, "detail", "resumed")
    assert (refused(change).field or "").startswith("events.0.detail")


@pytest.mark.parametrize(
    "name",
    [*("schema", "cluster", "node", "agent", "chain", "incarnation", "seq", "prev", "sealed_at", "rates", "readings")],
)
def test_a_field_that_is_missing_is_named(name: str) -> None:
    assert refused(lambda body: body.pop(name)).field == name


@pytest.mark.parametrize(("seq", "prev"), [(0, "ab" * 32), (1, None), (MAX_COUNTER, None)])
def test_only_the_first_of_a_chain_has_no_batch_before_it(seq: int, prev: str | None) -> None:
    error = refused(lambda body: body.update(seq=seq, prev=prev))
    assert str(error) == "prev: missing, or present on the first of a chain"


def test_an_agent_speaks_only_for_itself() -> None:
    error = refused(put("A" * 43, "agent"))
    assert str(error) == "agent: not the key that signed"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        encode(batch()).replace(b'"c"', b'"\xff"'),
        encode(batch()).replace(b'"c"', rb'"\ud800"'),
        encode(batch()).replace(b'"c"', b'"\x00"'),
        encode(batch()) + b"{}",
        encode(batch())[:-1],
        encode(batch()).replace(b'"seq":3', b'"seq":03'),
        b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_in_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        open_batch(signed(body))
    assert caught.value.field == "body"


@pytest.mark.parametrize("body", [b"[]", b"null", b"7"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="valid dictionary"):
        open_batch(signed(body))


@given(st.binary(max_size=64))
def test_any_signed_bytes_are_a_batch_or_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(Malformed):
        open_batch(signed(body))


def test_a_body_that_is_too_long_is_refused_before_it_is_read() -> None:
    longest = b" " * MAX_BODY_BYTES
    with pytest.raises(Malformed):
        open_batch(signed(longest))
    with pytest.raises(Unauthentic, match=f"body: {MAX_BODY_BYTES + 1} bytes, more than {MAX_BODY_BYTES}"):
        open_batch(signed(longest + b" "))


def test_keys_of_later_versions_are_ignored_everywhere() -> None:
    def change(body: Body) -> None:
        for place in (body, body["readings"], body["devices"][0], body["events"][0]):
            place["invented_later"] = [1.5, {"deep": None}]

    assert open_batch(spoilt(change)) == batch()


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        (b'"seq":3', b'"seq":9,"seq":3', "seq"),
        (b'"seq":3', b'"seq":3,"seq":3', "seq"),
        (b'"seq":3', b'"s\\u0065q" : 9, "seq" :3', "seq"),
        (b'"kind":"gpu"', b'"kind":"gpu","kind":"gpu"', "kind"),
        (b'"readings":{', b'"readings":{"flop":[0],', "flop"),
        (b'"seq":3', b'"later":{"deep":[{"a":1,"a":2}]},"seq":3', "a"),
    ],
)
def test_a_key_given_twice_is_refused_and_named(before: bytes, after: bytes, field: str) -> None:
    body = encode(batch())
    assert before in body
    with pytest.raises(Malformed, match="given twice") as caught:
        open_batch(signed(body.replace(before, after, 1)))
    assert caught.value.field == field


def test_a_body_that_another_encoder_wrote_opens_all_the_same() -> None:
    body = encode(batch())
    assert open_batch(signed(json.dumps(json.loads(body), indent=1).encode())) == batch()


def test_a_body_too_deep_to_be_compared_is_an_error_of_ours() -> None:
    deep = b"[" * 600 + b"]" * 600
    body = encode(batch())
    assert open_batch(signed(body.replace(b'"seq":3', b'"later":' + deep + b',"seq":3'))) == batch()


@pytest.mark.parametrize("schema", ["flopledger.batch/2", "", "x" * 1_000])
def test_a_schema_that_the_headers_name_and_nobody_knows_is_refused(schema: str) -> None:
    with pytest.raises(Malformed, match=r"is not 'flopledger\.batch/1'") as caught:
        decode(replace(signed(encode(batch())), schema=schema))
    assert caught.value.field == "schema"


@pytest.mark.parametrize("missing", ["schema", "key_id", "sha256", "signature"])
def test_a_header_that_is_missing_is_named(missing: str) -> None:
    sealed = signed(encode(batch()))
    with pytest.raises(Unauthentic, match=f"{missing}: header is missing"):
        from_headers(sealed.body, [header for header in sealed.headers() if header[0] != missing])


def test_headers_that_are_not_utf_8_are_refused() -> None:
    sealed = signed(encode(batch()))
    with pytest.raises(Unauthentic, match="headers: not UTF-8"):
        from_headers(sealed.body, [*sealed.headers(), ("key_id", b"\xff")])


@pytest.mark.parametrize(
    "name", ["", "=", "A" * 42, "A" * 44, AGENT + "=", "é" * 43, "+" + AGENT[1:], AGENT.replace("_", "/"), " " + AGENT]
)
def test_a_key_id_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(Unauthentic) as caught:
        public_key(name)
    assert caught.value.field == "key_id"


def test_one_key_has_one_name() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same_key = alphabet.index(AGENT[-1]) // 4 * 4
    others = set(alphabet[same_key : same_key + 4]) - {AGENT[-1]}
    assert len(others) == 3
    for last in others:
        with pytest.raises(Unauthentic, match="key_id: not the canonical name of a key"):
            public_key(AGENT[:-1] + last)


def test_errors_say_where_and_what() -> None:
    assert (str(WireError("wrong", "field")), str(WireError("wrong"))) == ("field: wrong", "wrong")
