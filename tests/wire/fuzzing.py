"""Opening under fire: `make fuzz` sends a million inputs through it, the suite some hundreds of the same kinds.

Nothing but a `WireError` may come out, no batch that was changed may open, and what opens when its changed bytes are
signed anew must hold what all batches hold. Four kinds of input: sealed batches with a part changed, changed bodies
that are signed all the same, such bodies opened together, and what atheris finds by watching which lines an input
reaches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.wire.batches import AGENT, KEY, batch, reading
from wire.batch import COUNTER_COLUMNS, MAX_COUNTER, MAX_FLOP
from wire.decoding import MAX_ROWS
from wire.errors import WireError
from wire.opening import decode, decode_batches, open_batch
from wire.seal import Sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wire.batch import Batch, Reading

INPUTS = 1_000_000
SHARES = {"sealed": 0.4, "signed anew": 0.2, "together": 0.2, "atheris": 0.2}
AT_ONCE = 64
_TOKENS = (
    b"null",
    b"-1",
    b"0",
    b"1e9",
    b"1.5",
    b"true",
    b'""',
    b"[]",
    b"{}",
    b"18446744073709551616",
    b"\\u0000",
    b"\xff",
)
_PARTS = ("body", "sha256", "signature", "key_id", "schema")


def grown() -> list[Reading]:
    """Two meters of six readings whose counters are made of one another."""
    return [
        reading(
            n * 10**10,
            device=f"GPU-{d}",
            tensor_cycles=n * 10**12 + d,
            fp32_cycles=n * 10**11,
            flop=4096 * (n * 10**12 + d),
            flop_low=4000 * (n * 10**12 + d),
            flop_high=4200 * (n * 10**12 + d) + n * 10**13,
        )
        for n in range(1, 7)
        for d in range(2)
    ]


def subjects() -> list[Sealed]:
    """Batches of several shapes: one reading, many, sparse, made of one another, with devices and events."""
    sparse = [row._replace(tokens=row.at_ns if row.device == "GPU-1" else None) for row in grown()]
    plain = batch(*grown(), devices=(), events=())
    return [seal(one, KEY) for one in (batch(), batch(reading()), batch(*sparse, devices=(), events=()), plain)]


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to three small changes."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            at %= len(data)
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + rng.randbytes(rng.randrange(1, 4)) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + rng.randrange(1, 9) :]
        elif kind == 3:
            end = at + rng.randrange(1, 12)
            data = data[:at] + rng.choice(_TOKENS) + data[end:]
        elif kind == 4:
            start = rng.randrange(len(data) + 1)
            data = data[:at] + data[start : start + rng.randrange(40)] + data[at:]
        else:
            # A digit for a digit: what parses all the same.
            digits = [n for n, byte in enumerate(data) if 48 <= byte <= 57]
            if digits:
                at = rng.choice(digits)
                data = data[:at] + bytes([rng.randrange(48, 58)]) + data[at + 1 :]
    return data


def changed(sealed: Sealed, rng: random.Random) -> Sealed:
    """The batch with one part changed; half the time with the hash of the body made to fit again."""
    part = rng.choice(_PARTS)
    value = getattr(sealed, part)
    as_bytes = value.encode() if isinstance(value, str) else value
    other: Any = changed_bytes(as_bytes, rng)
    if isinstance(value, str):
        other = other.decode("utf-8", "replace")
    changes: dict[str, Any] = {part: other}
    if part == "body" and rng.random() < 0.5:
        changes["sha256"] = hashlib.sha256(other).digest()
    return replace(sealed, **changes)


def refuses_what_was_changed(sealed: Sealed, rng: random.Random) -> bool:
    """Whether anything was changed at all. Raises AssertionError when a changed batch opens."""
    other = changed(sealed, rng)
    if other == sealed:
        return False
    try:
        open_batch(other)
    except WireError:
        return True
    raise AssertionError(f"a changed batch was accepted: {other!r}")


def opens_or_refuses(sealed: Sealed, rng: random.Random) -> bool:
    """Whether a changed body, signed anew, is still a batch. Then all that holds for a batch must hold for it."""
    # What is signed is authentic: the signature itself is the other kind's matter.
    return decodes_or_refuses(changed_bytes(sealed.body, rng))


def decodes_or_refuses(body: bytes) -> bool:
    """Whether these bytes, if the agent signed them, are a batch."""
    try:
        found = decode(Sealed(body, b"", AGENT, b""))
    except WireError:
        return False
    holds(found)
    return True


def same(bodies: Sequence[bytes]) -> list[Batch | WireError]:
    """Open these together; raises AssertionError for one that is not what it is when it is opened by itself."""
    sealed = [Sealed(body, b"", AGENT, b"") for body in bodies]
    found = decode_batches(sealed)
    for one, again in zip(found, map(_alone, sealed), strict=True):
        if isinstance(one, WireError) or isinstance(again, WireError):
            assert str(one) == str(again)
            continue
        assert one == again
        assert list(one.readings.first_ns()) == list(again.readings.first_ns())
        for name in ("at_ns", *COUNTER_COLUMNS):
            assert list(one.readings.last(name)) == list(again.readings.last(name)), name
    return found


def _alone(sealed: Sealed) -> Batch | WireError:
    try:
        return decode(sealed)
    except WireError as error:
        return error


def holds(found: Batch) -> None:
    """What every batch that opens holds. Raises AssertionError."""
    rows = list(found.readings.rows())
    assert len(rows) == len(found.readings) <= MAX_ROWS
    last: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        assert 0 <= row.flop_low <= (row.flop_low if row.flop is None else row.flop) <= row.flop_high <= MAX_FLOP
        counters = (row.at_ns, *row[8:])
        assert all(type(value) is int and 0 <= value <= MAX_FLOP for value in counters if value is not None)
        assert all(value is None or value <= MAX_COUNTER for value in (row.at_ns, *row[12:]))
        before = last.get(row[1:8])
        if before is not None:
            assert all(
                old is None or (new is not None and new >= old) for old, new in zip(before, counters, strict=True)
            )
        last[row[1:8]] = counters
    for n, key in enumerate(found.readings.meters):
        assert tuple(found.readings.last(name)[n] for name in ("at_ns", *COUNTER_COLUMNS)) == last[key]


def main() -> None:
    """Run them all; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    done = {kind: round(asked.inputs * share) for kind, share in SHARES.items()}
    opened = _mutate(done["signed anew"], opens_or_refuses, asked.seed)
    different = _mutate(done["sealed"], refuses_what_was_changed, asked.seed + 1)
    together = _together(done["together"], asked.seed + 2)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.wire.fuzz_atheris",
            f"-runs={done['atheris']}",
            f"-seed={asked.seed % 2**31 or 1}",
        ],
        check=True,
    )
    outcome = {"changed_and_refused": different, "opened_signed": opened, "opened_together": together}
    print(json.dumps({"seed": asked.seed, "inputs": done, **outcome}))


def _together(count: int, seed: int) -> int:
    """How many of so many changed bodies are a batch, as they are by themselves."""
    rng = random.Random(seed)
    bodies = [one.body for one in subjects()]
    opened = 0
    for _ in range(-(-count // AT_ONCE)):
        found = same([changed_bytes(rng.choice(bodies), rng) for _ in range(AT_ONCE)] + bodies * 4)
        opened += sum(not isinstance(one, WireError) for one in found[:AT_ONCE])
    return opened


def _mutate(count: int, one: Callable[[Sealed, random.Random], bool], seed: int) -> int:
    rng = random.Random(seed)
    sealed = subjects()
    return sum(one(sealed[n % len(sealed)], rng) for n in range(count))


if __name__ == "__main__":
    main()
