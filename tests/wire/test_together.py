"""Batches opened together hold what they hold one by one, and what is wrong with one is wrong with it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stream import Agent
from tests.wire.batches import AGENT, KEY, batch, batches, reading
from tests.wire.fuzzing import changed_bytes, grown, same
from wire.batch import MAX_COUNTER, Batch
from wire.ends import LastValues
from wire.opening import FEW, open_batches
from wire.seal import Sealed, encode, seal
from wire.skim import skim
from wire.wide import Wide, quotient

if TYPE_CHECKING:
    import random

    from wire.errors import WireError

QUICK = settings(deadline=None, max_examples=60)
FACTORS = st.integers(0, 2**31 - 1)
WORDS = st.integers(0, 2**62)


def together(one: Batch | WireError) -> bool:
    return isinstance(one, Batch) and isinstance(one.readings.last_values, LastValues)


def usual() -> bytes:
    return encode(batch(*grown()))


def spoilt(change: tuple[str, Any], *names: str | int) -> bytes:
    said = orjson.loads(usual())
    inner = said
    for name in names:
        inner = inner[name]
    inner[change[0]] = change[1]
    return orjson.dumps(said)


def test_what_a_fleet_sends_is_opened_together_to_the_last_digit() -> None:
    agents = [Agent(number) for number in range(4)]
    rounds = [[agent.batch() for agent in agents] for _ in range(3)]
    opened = open_batches([sealed for each in rounds for sealed in each])
    assert all(map(together, opened))
    assert [len(one.devices) for one in opened if isinstance(one, Batch)] == [8] * 4 + [0] * 8
    flop = [sum(one.readings.last("flop")) for one in opened[8:] if isinstance(one, Batch)]
    assert flop == [agent.flop for agent in agents]


@QUICK
@given(st.lists(batches(), min_size=FEW, max_size=8))
def test_whatever_agents_seal(sent: list[Batch]) -> None:
    same([encode(one) for one in sent] * 2)


@QUICK
@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_counters_of_any_size_and_number(sizes: list[int], meters: int, rng: random.Random) -> None:
    sent = []
    for size in sizes * FEW:
        rows = []
        for n in range(meters):
            at, cycles = 10**18, 0
            for _ in range(rng.choice((1, 2, 5))):
                at, cycles = at + rng.randrange(10**9), cycles + rng.randrange(size // 8 + 1)
                flop = cycles * 4096
                bounds = {"flop": flop, "flop_low": flop * 49 // 50, "flop_high": flop * 51 // 50 + cycles}
                rows.append(reading(at, device=f"d{n}", tensor_cycles=cycles, busy_ns=cycles // 3, **bounds))
        sent.append(encode(batch(*rows, devices=(), events=())))
    same(sent)


@QUICK
@given(st.randoms(use_true_random=False))
def test_whatever_is_changed(rng: random.Random) -> None:
    same([changed_bytes(usual(), rng) for _ in range(12)] + [usual()] * FEW)


@pytest.mark.parametrize(
    "body",
    [
        spoilt(("fp64_cycles", -1), "readings"),
        spoilt(("at_ns", [[1, 2], []]), "readings"),
        spoilt(("at_ns", [1.0] * 12), "readings"),
        spoilt(("at_ns", [MAX_COUNTER] * 12), "readings"),
        spoilt(("flop_low", {"of": {"tensor_cycles": 9000}}), "readings"),
        spoilt(("flop_high", {"of": {"tensor_cycles": -1}}), "readings"),
        spoilt(("flop_high", {"of": {"tensor_cycles": 4400}, "per": 0}), "readings"),
        spoilt(("flop_high", {"of": {"tensor_cycles": 2**62}, "per": 2**61}), "readings"),
        spoilt(("flop_high", {"of": {"busy_ns": 1}}), "readings"),
        spoilt(("flop", {"of": {"flop_low": 1}}), "readings"),
        spoilt(("flop", {"of": {}}), "readings"),
        spoilt(("energy_mj", {"of": {"rows": 5}, "plus": -1}), "readings"),
        spoilt(("energy_mj", {"of": {"rows": 5}, "per": 2}), "readings"),
        spoilt(("count", 65_537), "readings"),
        spoilt(("count", [6]), "readings"),
        spoilt(("count", True), "readings"),
        spoilt(("nobody_knows", 1), "readings"),
        spoilt(("device", ["GPU-0", "GPU-0"]), "readings", "meters"),
        spoilt(("clock_max_mhz", -1), "devices", 0),
        spoilt(("flop_per_s_max", str(2**128)), "devices", 0),
        spoilt(("nobody_knows", 1), "devices", 0).replace(b'"nobody_knows":1', b'"id":"another"'),
        spoilt(("at_ns", [1]), "events", 0),
        spoilt(("events", None)),
        spoilt(("seq", 0)),
        spoilt(("seq", 1.5)),
        spoilt(("prev", None)),
        spoilt(("prev", "AB" * 32)),
        spoilt(("agent", "A" * 43)),
        spoilt(("chain", "0199E2F0-0000-7000-8000-000000000001")),
        spoilt(("node", "")),
        spoilt(("node", "n[")),
        spoilt(("rates", "r" * 65)),
        spoilt(("sealed_at", "2026-11-23T14:25:60Z")),
        spoilt(("schema", "flopledger.batch/2")),
        spoilt(("nobody_knows", {"a": 1})),
        usual().replace(b'"seq":3', b'"seq":3,"seq":4'),
        spoilt(("flop_high", {"of": {"tensor_cycles": 8800}, "per": 2}), "readings").replace(
            b'"per":', b'"per":1,"per":'
        ),
        usual().replace(b'"rows":', b'"rows":1,"rows":'),
        usual().replace(b'"count":6', b'"count":6,"count":6'),
        usual().replace(b"GPU-0", b"GPU-\\u0030"),
        usual()[:-1],
        usual() + b"{}",
        b"",
    ],
)
def test_what_is_unusual_or_wrong_is_so_alone(body: bytes) -> None:
    found = same([usual(), body, usual(), usual(), usual()])
    assert [together(one) for one in found] == [True, False, True, True, True]


def test_bytes_that_nobody_signed_open_nowhere() -> None:
    sealed = seal(batch(*grown(), devices=(), events=()), KEY)
    forged = Sealed(sealed.body, sealed.sha256, sealed.key_id, bytes(64))
    opened = open_batches([sealed, forged, sealed, sealed, sealed])
    assert [together(one) for one in opened] == [True, False, True, True, True]
    assert str(opened[1]) == "signature: does not fit the bytes"


def test_a_column_in_each_form_and_another_for_each_meter() -> None:
    rows = [reading(10**9 + n, device=f"d{m}", tokens=7 * n, busy_ns=2**40 + n) for m in range(2) for n in range(m + 2)]
    for row in (rows, rows[:1]):
        same([encode(batch(*row, devices=(), events=()))] * FEW)
    assert skim(encode(batch(*rows, devices=(), events=())), AGENT) is None, "digits in a text"


@QUICK
@given(st.lists(st.tuples(FACTORS, WORDS, FACTORS, WORDS, st.integers(1, 2**31 - 1), st.integers(-(2**40), 2**62))))
def test_wide_columns_are_exact(rows: list[tuple[int, int, int, int, int, int]]) -> None:
    if not rows:
        return
    one, value, two, other, per, plus = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    expected = [(a * b + c * d) // p for a, b, c, d, p, _ in rows]
    found = quotient([(one, value), (two, other)], per)
    assert found.ints(0, len(rows)) == expected
    added = [max(extra, -least) for least, extra in zip(expected, plus.tolist(), strict=True)]
    more = found.plus(np.array(added, np.int64))
    assert more.ints(0, len(rows)) == [least + extra for least, extra in zip(expected, added, strict=True)]
    assert more.little_endian() == b"".join(v.to_bytes(16, "little") for v in more.ints(0, len(rows)))
    assert Wide.of(value).ints(0, len(rows)) == value.tolist()
