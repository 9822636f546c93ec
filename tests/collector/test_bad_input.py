"""Everything bad that a collector may meet, through a real Kafka with good batches in between: each ends where it
belongs with a reason that names the field, nothing else is held up, and the total is exact.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest
from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError

from collector import topics
from collector.enrolment import Enrolment
from collector.kafka_quarantine import KafkaQuarantine
from collector.main import Collector
from collector.sources.kafka import KafkaSource
from ledger.agents import APPROVED, enrolled, revoked
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter
from wire.batch import DeviceRecord
from wire.kafka import KafkaConnection
from wire.seal import Sealed, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.ledger import Ledger
    from tests.ledger.engine import Clock
    from tests.services.kafka.fixtures import Kafka

PATIENCE_S = 60.0
DEVICE = DeviceRecord("GPU-1", "gpu", "H100", None, 132, None, None, None, "gpm", 10**15)


class Culprit(Chain):
    """An agent of its own for each case, whose key is approved."""

    def spoilt(self, change: Callable[[Any], object]) -> Sealed:
        """A batch that was changed before it was signed."""
        body = orjson.loads(self.seal(meter(5, observed_ns=7), meter(6, observed_ns=8)).body)
        change(body)
        return self.signed(json.dumps(body).encode())

    def signed(self, body: bytes) -> Sealed:
        return sign(body, self._key, self.agent)


def spoil(*path: str, to: Any) -> Callable[[Culprit], list[Sealed]]:
    def make(culprit: Culprit) -> list[Sealed]:
        def change(body: Any) -> None:
            for step in path[:-1]:
                body = body[step]
            body[path[-1]] = to

        return [culprit.spoilt(change)]

    return make


def forged(culprit: Culprit) -> list[Sealed]:
    other = Chain(99).seal(meter(5))
    return [Sealed(other.body, other.sha256, culprit.agent, other.signature)]


def forked(culprit: Culprit) -> list[Sealed]:
    first = culprit.seal(meter(1))
    return [first, culprit.seal(meter(2)), culprit.seal(meter(9), seq=1, prev=first.sha256.hex())]


def out_of_order(culprit: Culprit) -> list[Sealed]:
    return [culprit.seal(meter(1)), culprit.seal(meter(9), prev="ab" * 32)]


def late(culprit: Culprit) -> list[Sealed]:
    old = [culprit.seal(meter(n)) for n in (1, 2)]
    culprit.restart()
    return [old[0], culprit.seal(meter(4)), old[1]]


def long_ago(culprit: Culprit) -> list[Sealed]:
    return [culprit.seal(meter(3, at_ns=NOW_NS - 10_000 * HOUR_NS))]


@dataclass(frozen=True)
class Case:
    """What an agent sends; of the last of it: whether it is quarantined, and why it is. `counted` FLOP are."""

    make: Callable[[Culprit], Sequence[Sealed]]
    reason: str | None
    counted: int = 0
    quarantined: bool = True


CASES: dict[str, Case] = {
    "not JSON": Case(lambda c: [c.signed(b"\x00 not a batch")], "^body: no JSON"),
    "forged": Case(forged, "^signature: does not fit the bytes"),
    "wrong version": Case(spoil("schema", to="flopledger.batch/9"), "^schema: "),
    "unequal columns": Case(spoil("readings", "flop", to=[5]), r"^readings\.flop"),
    "negative": Case(spoil("readings", "observed_ns", to=[-7, 1]), r"^readings\.observed_ns"),
    "fractional": Case(spoil("readings", "observed_ns", to=[7.5, 1]), r"^readings\.observed_ns"),
    "counter back": Case(spoil("readings", "observed_ns", to=[7, -1]), r"^readings\.observed_ns"),
    "10^40 FLOP": Case(spoil("readings", "flop_high", to=[10**40, 1]), r"^readings\.flop_high"),
    "200 MB": Case(lambda c: [c.signed(bytes(200_000_000))], "^body: 200000000 bytes, more than 8388608"),
    "unknown key": Case(lambda c: [c.seal(meter(5))], "^key_id: .* is not approved: flopledger collector agents"),
    "revoked key": Case(lambda c: [c.seal(meter(5))], r"^key_id: .* is revoked from .* on \(stolen\), sealed_at is "),
    "physics": Case(
        lambda c: [c.seal(meter(10**17, observed_ns=10**9), devices=(DEVICE,))],
        r"^physics: readings\.flop_high of run r on GPU-1 is ",
        quarantined=False,
    ),
    "replay": Case(
        lambda c: [c.seal(meter(5), chain=UUID(int=0), incarnation=UUID(int=0))],
        "^replay: chain is that of agent ",
        quarantined=False,
    ),
    "fork": Case(forked, "^fork: seq 1 of this chain is on record with other content", 2, quarantined=False),
    "prev": Case(out_of_order, "^prev: seq 0 of this chain is on record as ", 1, quarantined=False),
    "future": Case(
        lambda c: [c.seal(meter(5, at_ns=NOW_NS + HOUR_NS), sealed_at_ns=NOW_NS)],
        r"^future: readings\.at_ns is 3600 s ahead of ours",
        quarantined=False,
    ),
    "late, of an old incarnation": Case(late, None, 6, quarantined=False),
    "of a year ago": Case(long_ago, None, 3, quarantined=False),
}


@pytest.fixture
def connection(kafka: Kafka) -> KafkaConnection:
    topic = f"bad-{time.time_ns()}"
    made = KafkaConnection(kafka.plaintext, topic=topic, connect_timeout_s=5.0)
    with topics.admin(made) as client:
        topics.create(client, topics.plans(topic, partitions=1))
    return made


@pytest.fixture
def producer(connection: KafkaConnection) -> Iterator[KafkaProducer]:
    """One that looks at no size itself, as somebody else's may be."""
    with closing(
        KafkaProducer(
            **connection.client_kwargs(), compression_type="zstd", max_request_size=1 << 29, max_block_ms=10_000
        )
    ) as made:
        yield made


def test_whatever_comes_the_total_is_exact_and_each_ends_where_it_belongs(
    connection: KafkaConnection, producer: KafkaProducer, ledger: Ledger, clock: Clock
) -> None:
    honest = Culprit(0)
    culprits = {name: Culprit(number) for number, name in enumerate(CASES, 1)}
    ledger.append([enrolled(c.agent, APPROVED, "me") for name, c in culprits.items() if name != "unknown key"])
    ledger.append([enrolled(honest.agent, APPROVED, "me"), revoked(culprits["revoked key"].agent, 0, "stolen", "me")])

    def send(sealed: Sealed) -> int:
        sent = producer.send(connection.topic, sealed.body, headers=sealed.headers(), key=b"k").get(timeout=30)
        return int(sent.offset)

    last: dict[str, int] = {}
    total = 1
    newest = send(honest.seal(meter(total)))
    for name, case in CASES.items():
        for sealed in case.make(culprits[name]):
            last[name] = send(sealed)
        total += 1
        newest = send(honest.seal(meter(total)))

    with (
        closing(KafkaSource(connection, group=connection.topic)) as source,
        closing(KafkaQuarantine(connection)) as kept,
    ):
        enrolment = Enrolment(ledger, clock, "collector", "approved")
        collector = Collector(source, ledger, kept, lambda _: None, clock, enrolment=enrolment)
        taken, patience_ends = 0, time.monotonic() + PATIENCE_S
        while taken <= newest and time.monotonic() < patience_ends:
            taken += collector.step(timeout_s=0.5)
        assert taken == newest + 1
        put_aside = {e.message.offset: e.reason for e in kept.entries() if e.message.topic == connection.topic}
    with closing(KafkaSource(connection, group=connection.topic)) as again:
        assert again.poll(10, 1.0) == [], "all of them are committed"

    rows = ledger.query("SELECT source_offset, excluded_reason FROM batches").rows
    on_record: dict[int, str] = {offset: reason for offset, reason in rows}  # noqa: C416
    for name, case in CASES.items():
        found = put_aside.get(last[name]) if case.quarantined else (on_record[last[name]] or None)
        assert (found is None) == (case.reason is None), name
        assert re.search(case.reason or "", found or ""), (name, found)
    assert len(put_aside) == sum(case.quarantined for case in CASES.values())
    assert sorted({*put_aside, *on_record}) == list(range(newest + 1)), "nothing is lost"
    assert ledger.query("SELECT flop FROM run_totals").rows[0][0] == total + sum(c.counted for c in CASES.values())
    kinds = {row[0] for row in ledger.query("SELECT DISTINCT kind FROM findings").rows}
    assert kinds == {"physics", "replay", "fork", "prev", "future"}


def test_the_broker_refuses_what_is_longer_than_a_batch_can_be(
    connection: KafkaConnection, producer: KafkaProducer
) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(connection.topic, os.urandom(9_000_000)).get(timeout=30)
