"""Agents' batches at one end, a ledger at the other, and a collector between them that can be killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collector.main import Collector
from collector.sources.memory import MemoryBroker
from ledger.totals import run_totals
from tests.ledger.engine import opened
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.sources.interface import Lag, Message, Source
    from ledger.assessment.alert import Alert
    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock


class Killed(BaseException):
    """The process ends here."""


class WatchedSource:
    """A source that tells what was committed, and dies or fails where it is told to."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self.committed: list[bytes] = []
        self.closed = 0
        self.waits_s: list[float] = []
        self.at_commit: BaseException | None = None

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        self.waits_s.append(timeout_s)
        return self._inner.poll(max_messages, timeout_s=0)

    def commit(self, messages: Sequence[Message]) -> None:
        if self.at_commit is not None:
            raise self.at_commit
        self._inner.commit(messages)
        self.committed += [message.body for message in messages]

    def pause(self) -> None:
        self._inner.pause()

    def resume(self) -> None:
        self._inner.resume()

    def owned(self) -> frozenset[int]:
        return self._inner.owned()

    def lag(self) -> Lag:
        return self._inner.lag()

    def close(self) -> None:
        self.closed += 1
        self._inner.close()


class Kept:
    """A quarantine in memory."""

    def __init__(self) -> None:
        self.messages: list[tuple[Message, str]] = []

    def put(self, message: Message, reason: str) -> None:
        self.messages.append((message, reason))


class Rig:
    """All three; `restart` is what follows a kill."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.broker = MemoryBroker(partitions=1)
        self.quarantine = Kept()
        self.told: list[Alert] = []
        self.restart()

    def restart(self) -> None:
        """Another process takes over: nothing is left but what is on disk."""
        self.ledger = opened(self._store, self._clock)
        self.source = WatchedSource(self.broker.source())
        self.collector = self.over(self.ledger)

    def over(self, ledger: Any) -> Collector:
        return Collector(self.source, ledger, self.quarantine, self.told.extend, self._clock)

    def send(self, *sealed: Sealed) -> None:
        assert self.broker.send(sealed) == len(sealed)

    def drain(self) -> None:
        while self.collector.step(timeout_s=0):
            pass

    def flop(self) -> dict[str, int | None]:
        return {total.run_id: total.flop for total in run_totals(self.ledger)}

    def asked(self, sql: str) -> list[Any]:
        return [row[0] if len(row) == 1 else tuple(row) for row in self.ledger.query(sql).rows]


class Failing:
    """A ledger one of whose methods fails once."""

    def __init__(self, ledger: Ledger, method: str, error: BaseException) -> None:
        self._ledger = ledger
        self._failing = method
        self._error: BaseException | None = error

    def __getattr__(self, name: str) -> Any:
        error = self._error
        if name != self._failing or error is None:
            return getattr(self._ledger, name)

        def fail(*_: object) -> None:
            self._error = None
            raise error

        return fail


def spoilt(sealed: Sealed) -> Sealed:
    return Sealed(sealed.body + b" ", sealed.sha256, sealed.key_id, sealed.signature)
