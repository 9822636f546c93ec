"""Which fault comes when: a pure function of the seed and the length."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong; for `length_s` where it lasts."""

    AGENT_KILLED = "agent killed"
    COLLECTOR_KILLED = "collector killed"
    BROKER_KILLED = "broker killed"
    BROKER_RESTARTED = "broker restarted"
    SERVER_KILLED = "server killed"
    AGENTS_CUT_OFF = "agents cut off from the broker"
    COLLECTORS_CUT_OFF = "collectors cut off from the broker"
    SERVER_CUT_OFF = "collectors cut off from the server"
    NETWORK_SLOW = "network slow"
    INSERT_REFUSED = "inserts refused"
    INSERT_UNCONFIRMED = "inserts done, but not confirmed"
    INSERT_SLOW = "inserts slow"
    REPLAYED = "batches delivered again, in another order"
    REBALANCED = "collector joined, and left"
    CLOCK_JUMPED = "collector's clock jumped"
    DISK_FULL = "disk full under an outbox"
    CORRUPTED = "batches corrupted"
    FORGED = "batches forged"


@dataclass(frozen=True, slots=True)
class Fault:
    """At `at_s` after the beginning, or as soon after as the one before has been injected."""

    at_s: float
    kind: Kind
    target: int
    length_s: float
    count: int


def schedule(seed: int, seconds: int) -> tuple[Fault, ...]:
    """Every kind comes once before any comes again, in an order and at moments that the seed draws."""
    drawn = random.Random(seed)
    faults: list[Fault] = []
    deck: list[Kind] = []
    at_s = drawn.uniform(0.5, 1.5)
    while at_s < seconds:
        if not deck:
            deck = drawn.sample(list(Kind), len(Kind))
        kind, target, length_s = deck.pop(), drawn.randrange(1 << 16), drawn.uniform(0.5, 4.0)
        faults.append(Fault(round(at_s, 3), kind, target, round(length_s, 3), drawn.randrange(1, 5)))
        at_s += drawn.uniform(0.5, 3.0)
    return tuple(faults)
