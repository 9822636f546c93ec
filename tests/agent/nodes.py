"""A simulated node with its outbox and the agent that lives on it now; and what a ledger makes of its batches."""

from __future__ import annotations

import weakref
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.attribution.environment import Environment
from agent.identity import AgentIdentity
from agent.main import Agent
from agent.outbox import Outbox
from agent.reports.book import ReportBook
from wire.batch import COUNTER_COLUMNS, Batch, Event
from wire.opening import open_batch
from wire.plausible import implausible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.attribution.interface import IdentitySource
    from agent.devices.interface import Backend
    from tests.agent.devices.simulated.fleets import World

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FAR_FUTURE_NS = 2**63


class Node:
    """A simulated node; unless given, its backend is the simulated one, and its processes name their runs."""

    def __init__(
        self,
        world: World,
        number: int = 0,
        backend: Backend | None = None,
        sources: Sequence[IdentitySource] = (),
    ) -> None:
        self.world = world
        self.number = number
        self.simulated = world.backend(number)
        self.backend = backend or self.simulated
        self.sources = sources
        self.outbox = Outbox(":memory:")
        weakref.finalize(self, self.outbox.close)
        self.restart()

    def restart(self) -> None:
        """A new agent on the same outbox; the one before is gone with all that it did not store."""
        self.reports = ReportBook("node", self.clock_ns)
        sources = self.sources or [Environment(self.simulated.environ)]
        identity = AgentIdentity("test", "node", KEY)
        self.agent = Agent(identity, [self.backend], sources, self.reports, self.outbox, self.clock_ns)

    def clock_ns(self) -> int:
        """The node's own clock."""
        return self.world.fleet.node_clock_ns(self.number, self.world.now_ns)

    def look(self, hours: float) -> None:
        """Sample the devices so many hours after the start."""
        self.world.at_h(hours)
        self.agent.tick()

    def look_and_seal(self, hours: float) -> bool:
        """Sample so many hours after the start, then seal; True when a batch was stored."""
        self.look(hours)
        return self.agent.seal()

    def batches(self) -> list[Batch]:
        """All that waits in the outbox, opened."""
        return [open_batch(sealed) for _, sealed in self.outbox.pending(-1, 1_000_000)]

    def events(self) -> list[Event]:
        """What happened, but for the starts of agents and what said whose work it is and how it is named."""
        return [
            event
            for batch in self.batches()
            for event in batch.events
            if event.kind not in {"start", "attribution", "run"}
        ]


Totals = dict[tuple[str, str], int]
"""By run and column."""


def totals(batches: Iterable[Batch]) -> Totals:
    """What a ledger counts on the hardware basis: the sum over meters of the maximum seen."""
    meters: dict[tuple[tuple[str, ...], str], int] = {}
    for batch in batches:
        for reading in batch.readings.rows():
            if reading.basis != "hardware":
                continue
            for column in COUNTER_COLUMNS:
                value = getattr(reading, column)
                if value is not None:
                    meter = ((reading.run, str(batch.incarnation), *reading[2:8]), column)
                    meters[meter] = max(meters.get(meter, 0), value)
    sums: Totals = {}
    for ((run, *_), column), value in meters.items():
        sums[run, column] = sums.get((run, column), 0) + value
    return sums


def check_chain(batches: Sequence[Batch]) -> None:
    """Seq without a hole, and within an incarnation nothing that goes back."""
    assert [batch.seq for batch in batches] == list(range(len(batches)))
    assert all(implausible(batch, FAR_FUTURE_NS) is None for batch in batches)
    for one, other in pairwise(batches):
        if one.incarnation == other.incarnation:
            times = [reading.at_ns for batch in (one, other) for reading in batch.readings.rows()]
            assert times == sorted(times)
            assert one.sealed_at_ns <= other.sealed_at_ns
