"""The simulated fleet in a process of its own, and its outboxes as a source for the collector in this one.

Agents and collector each get a core that way, and talk as they would over a broker: batches come one way in order,
what is recorded goes back, and only then an outbox forgets.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

from collector.errors import Fatal
from collector.sources.interface import Lag, Message
from collector.sources.outbox import OutboxSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from types import TracebackType

    from agent.devices.simulated.scenario import Scenario

MAX_AHEAD = 16
"""Instants that the fleet may be ahead of the collector; then it waits."""
_ALL = 1 << 30


class FleetProcess:
    """A fleet that plays its scenario next door. As a source it hands out one instant's batches after the other."""

    def __init__(self, scenario: Scenario) -> None:
        self.now_ns = scenario.start_ns
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_play, args=(scenario, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._waiting: list[Message] = []
        self._paused = False
        # A pipe holds little, and the fleet is to play on while nobody asks for its batches yet.
        self._arrived: Queue[Any] = Queue()
        self._reader = threading.Thread(target=self._receive, name="fleet", daemon=True)
        self._reader.start()

    def next_instant(self) -> bool:
        """Move on to the next instant at which batches were sealed; False when the scenario has ended."""
        kind, at_ns, messages = self._arrived.get()
        if kind == "failed":
            raise Fatal(f"the simulated fleet failed: {messages}")
        self.now_ns = at_ns
        self._waiting = messages
        return bool(kind == "sealed")

    def world_ns(self) -> int:
        """The time in the simulated world, Unix ns."""
        return self.now_ns

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        """What is left of this instant."""
        del timeout_s
        if self._paused:
            return ()
        taken, self._waiting = self._waiting[:max_messages], self._waiting[max_messages:]
        return taken

    def commit(self, messages: Sequence[Message]) -> None:
        """Let the outboxes next door forget these."""
        self._pipe.send([(message.partition, message.offset) for message in messages])

    def pause(self) -> None:
        """Hand out nothing for now."""
        self._paused = True

    def resume(self) -> None:
        """End `pause`."""
        self._paused = False

    def owned(self) -> frozenset[int]:
        """The one stream that there is."""
        return frozenset({0})

    def lag(self) -> Lag:
        """What is left of this instant."""
        return Lag(len(self._waiting), None)

    def close(self) -> None:
        """End the fleet, played out or not."""
        # In this order: the reader ends when the other end is gone, and only then may this one go.
        self._process.kill()
        self._process.join()
        self._reader.join()
        self._pipe.close()

    def _receive(self) -> None:
        kind = ""
        try:
            while kind not in {"ended", "failed"}:
                kind, at_ns, messages = self._pipe.recv()
                self._arrived.put((kind, at_ns, messages))
        except (EOFError, OSError):
            self._arrived.put(("failed", 0, "it ended before its scenario did"))

    def __enter__(self) -> FleetProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _play(scenario: Scenario, pipe: Connection) -> None:
    from standalone.simulation import Simulation

    logging.getLogger().setLevel(logging.ERROR)
    simulation = Simulation(scenario)
    # Some million objects live as long as the process; walking them again and again would take a third of the time.
    gc.freeze()
    gc.disable()
    source = OutboxSource([node.outbox for node in simulation.nodes], lambda _: None)
    ahead = 0
    try:
        for instant in simulation.play():
            messages = source.poll(_ALL, timeout_s=0)
            pipe.send(("sealed", instant, messages))
            ahead += len(messages)
            while pipe.poll() or ahead > MAX_AHEAD * len(simulation.nodes):
                ahead -= _forget(source, pipe.recv())
        pipe.send(("ended", scenario.end_ns, []))
        while ahead:
            ahead -= _forget(source, pipe.recv())
    except (EOFError, BrokenPipeError):
        pass
    except Exception as error:
        pipe.send(("failed", 0, f"{type(error).__name__}: {error}"))
        raise
    finally:
        for node in simulation.nodes:
            node.outbox.close()


def _forget(source: OutboxSource, recorded: Sequence[tuple[int, int]]) -> int:
    source.commit([Message(b"", (), "", partition, offset) for partition, offset in recorded])
    return len(recorded)
