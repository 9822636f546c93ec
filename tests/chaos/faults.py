"""How each kind of fault is done to the world."""

from __future__ import annotations

import random
import resource
import signal
import time
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.exits import DONE, UNREACHABLE
from tests.chaos.process import offset_of
from tests.chaos.schedule import Kind
from tests.chaos.world import AGENTS, COLLECTORS, TOPIC
from wire.seal import key_id, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.schedule import Fault
    from tests.chaos.world import World

SMALL_FILE_BYTES = 4_096
JUMP_NS = 240 * 1_000_000_000
"""A collector's clock may be wrong by less than what an agent's may run ahead."""


def inject(world: World, fault: Fault) -> None:
    """Do it; returns when it is over, or when what was hit is on its way back."""
    _DO[fault.kind](world, fault)


def _agent(fault: Fault) -> str:
    return f"agent-{fault.target % AGENTS}"


def _collector(fault: Fault) -> str:
    return f"collector-{fault.target % COLLECTORS}"


def _kill_broker(world: World, fault: Fault) -> None:
    world.broker.kill()
    time.sleep(fault.length_s)
    world.broker.start()


def _kill_server(world: World, fault: Fault) -> None:
    world.clickhouse.kill()
    time.sleep(fault.length_s)
    world.clickhouse.start()


def _cut(wire: str) -> Callable[[World, Fault], None]:
    def cut(world: World, fault: Fault) -> None:
        getattr(world, wire).cut()
        time.sleep(fault.length_s)
        getattr(world, wire).heal()

    return cut


def _slow(world: World, fault: Fault) -> None:
    wires = (world.agents_wire, world.collectors_wire, world.server_wire)
    for wire in wires:
        wire.slow(0.1)
    time.sleep(fault.length_s)
    for wire in wires:
        wire.heal()


def _inserts(kind: str) -> Callable[[World, Fault], None]:
    def spoil(world: World, fault: Fault) -> None:
        world.clickhouse.inject({"kind": kind, "count": fault.count, "seconds": 2.0 if kind == "slow" else 0.0})

    return spoil


def _rebalance(world: World, fault: Fault) -> None:
    guest = f"collector-{COLLECTORS}"
    world.run(guest)
    time.sleep(fault.length_s)
    ended = world.stop(guest)
    assert ended in {DONE, UNREACHABLE, -signal.SIGTERM}, f"{guest} ended with {ended}"


def _jump(world: World, fault: Fault) -> None:
    clock = world.clock(_collector(fault))
    offset_of(clock, JUMP_NS if fault.count % 2 else -JUMP_NS)
    time.sleep(fault.length_s)
    offset_of(clock, 0)


def _fill_disk(world: World, fault: Fault) -> None:
    process = world.alive[_agent(fault)]
    _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (SMALL_FILE_BYTES, most))
    time.sleep(fault.length_s)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))


def _replay(world: World, fault: Fault) -> None:
    drawn = random.Random(fault.target)
    taken = drawn.sample(sent := _sent(world), min(len(sent), 20 * fault.count))
    drawn.shuffle(taken)
    _send(world, taken)


def _corrupt(world: World, fault: Fault) -> None:
    drawn = random.Random(fault.target)
    spoilt = []
    for key, body, headers in _some(world, drawn, fault.count):
        place = drawn.randrange(len(body))
        spoilt.append((key, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :], headers))
    _send(world, spoilt)


def _forge(world: World, fault: Fault) -> None:
    """Ten times the FLOP, under the agent's name, signed by somebody else: once as themselves, once as the agent."""
    drawn = random.Random(fault.target)
    key = Ed25519PrivateKey.from_private_bytes(drawn.randbytes(32))
    forged = []
    for agent, body, _ in _some(world, drawn, fault.count):
        for name in (key_id(key.public_key()), agent.decode()):
            sealed = sign(body.replace(b'"seq":', b'"seq":1'), key, name)
            forged.append((agent, sealed.body, list(sealed.headers())))
    _send(world, forged)


def _some(world: World, drawn: random.Random, count: int) -> list[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    sent = _sent(world)
    return drawn.sample(sent, min(count, len(sent)))


def _sent(world: World) -> list[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    """All messages of the topic so far, in order of their places."""
    from kafka import KafkaConsumer, TopicPartition

    consumer: Any = KafkaConsumer(**world.connection.client_kwargs(), auto_offset_reset="earliest", group_id=None)
    try:
        partitions = [TopicPartition(TOPIC, number) for number in sorted(consumer.partitions_for_topic(TOPIC))]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(consumer.position(p) < ends[p] for p in partitions):
            found += [record for records in consumer.poll(timeout_ms=200).values() for record in records]
        found.sort(key=lambda record: (record.partition, record.offset))
        return [(record.key, record.value, list(record.headers)) for record in found]
    finally:
        consumer.close()


def _send(world: World, messages: list[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> None:
    from kafka import KafkaProducer

    producer: Any = KafkaProducer(**world.connection.client_kwargs(), acks="all")
    try:
        for key, body, headers in messages:
            producer.send(TOPIC, key=key, value=body, headers=headers)
        producer.flush(timeout=30)
    finally:
        producer.close()


_DO: dict[Kind, Callable[[World, Fault], None]] = {
    Kind.AGENT_KILLED: lambda world, fault: world.kill(_agent(fault)),
    Kind.COLLECTOR_KILLED: lambda world, fault: world.kill(_collector(fault)),
    Kind.BROKER_KILLED: _kill_broker,
    Kind.BROKER_RESTARTED: lambda world, _: world.broker.restart(),
    Kind.SERVER_KILLED: _kill_server,
    Kind.AGENTS_CUT_OFF: _cut("agents_wire"),
    Kind.COLLECTORS_CUT_OFF: _cut("collectors_wire"),
    Kind.SERVER_CUT_OFF: _cut("server_wire"),
    Kind.NETWORK_SLOW: _slow,
    Kind.INSERT_REFUSED: _inserts("refuse"),
    Kind.INSERT_UNCONFIRMED: _inserts("lose"),
    Kind.INSERT_SLOW: _inserts("slow"),
    Kind.REPLAYED: _replay,
    Kind.REBALANCED: _rebalance,
    Kind.CLOCK_JUMPED: _jump,
    Kind.DISK_FULL: _fill_disk,
    Kind.CORRUPTED: _corrupt,
    Kind.FORGED: _forge,
}
