"""Days without a broker, under a clock of our own: the outbox grows to its bound and then thins; nothing is lost."""

from __future__ import annotations

import random
import weakref
from typing import TYPE_CHECKING

from agent.errors import Retry
from agent.outbox import Outbox
from agent.shipping.shipper import LONGEST_WAIT_S, Shipper
from tests.agent.devices.simulated.fleets import World, run, scenario
from tests.agent.nodes import Node, totals
from wire.opening import open_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire.seal import Sealed

MAX_BYTES = 64_000
OUTAGE_H = 72
SEALS_PER_H = 2


class Broker:
    """Takes everything, or is away."""

    def __init__(self) -> None:
        self.taken: list[Sealed] = []
        self.away = False

    def send(self, batches: Sequence[Sealed]) -> int:
        if self.away:
            raise Retry("nobody answers")
        self.taken += batches
        return len(batches)

    def close(self) -> None:
        pass


def test_an_outage_of_days_grows_the_outbox_to_its_bound_then_thins_it_and_costs_no_flop() -> None:
    world = World(scenario(run("a")))
    node, witness = Node(world), Node(world)
    node.outbox = Outbox(":memory:", MAX_BYTES)
    weakref.finalize(node, node.outbox.close)
    node.restart()
    broker = Broker()
    waits: list[float] = []
    shipper = Shipper(
        node.outbox,
        broker,
        monotonic=lambda: world.now_ns / 1e9,
        wait=waits.append,
        rng=random.Random(1),
    )
    sizes: list[int] = []
    for step in range(1, OUTAGE_H * SEALS_PER_H):
        broker.away = step > SEALS_PER_H
        assert node.look_and_seal(step / SEALS_PER_H) == witness.look_and_seal(step / SEALS_PER_H)
        shipper.step()
        sizes.append(node.outbox.stored_bytes())
    full = next(n for n, size in enumerate(sizes) if size > MAX_BYTES // 2)
    assert sizes[SEALS_PER_H:full] == sorted(sizes[SEALS_PER_H:full]), "it only grows while there is room"
    assert max(sizes) <= MAX_BYTES
    assert node.outbox.stored_batches() < len(sizes) * 2 // 3, "what later batches stand for was thinned out"
    assert shipper.outage_s >= (OUTAGE_H - 2) * 3600
    assert len(set(waits)) == len(waits), "no two waits are alike"
    assert LONGEST_WAIT_S / 2 <= waits[-1] <= LONGEST_WAIT_S

    broker.away = False
    while shipper.step():
        pass
    assert shipper.outage_s == 0
    assert node.outbox.stored_batches() == 0
    assert totals(open_batch(sealed) for sealed in broker.taken) == totals(witness.batches())
