"""The collector's main flow: poll → open → record → commit; then, on what changed, assess → notify."""

from __future__ import annotations

import gc
import logging
import random
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.enrolment import Enrolment
from collector.errors import QuarantineStorm, Retry
from collector.health import Health
from collector.intake import Intake, Rejected
from collector.metrics import Metrics
from collector.patience import BackOff, Patience
from collector.quarantine import StormWatch
from ledger.assessment.register import STORM
from ledger.errors import LedgerError
from ledger.errors import Retry as LedgerRetry
from ledger.journal import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.quarantine import Quarantine
    from collector.sources.interface import Message, Source
    from ledger.assessment.alert import Alert
    from ledger.evidence import Evidence
    from ledger.ledger import Ledger

log = logging.getLogger(__name__)

MAX_MESSAGES = 2_048
IDLE_S = 0.5
"""How long a round waits for a first message."""
AUTHOR = "collector"
HOUR_NS = 3_600_000_000_000
LOOK_EVERY_NS = 10_000_000_000


@dataclass(slots=True)
class _Round:
    """What one poll brought, and how far we are with it. It stays in hand until it is committed."""

    messages: Sequence[Message]
    received_at_ns: int
    opened: deque[tuple[Message, Evidence | Rejected]] | None = None
    """What they hold, as far as it is not settled yet which of them go into the quarantine."""
    evidence: list[Evidence] = field(default_factory=list)
    recorded: list[Evidence] | None = None
    """The evidence as it was judged; None until it is on disk."""


class Collector:
    """Moves batches from a source into a ledger. Driven from one thread."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        quarantine: Quarantine,
        notify: Callable[[Sequence[Alert]], None],
        now_ns: Callable[[], int],
        *,
        enrolment: Enrolment | None = None,
        storm: StormWatch | None = None,
        metrics: Metrics | None = None,
        health: Health | None = None,
        patience: Patience | None = None,
        rng: random.Random | None = None,
        name: str = AUTHOR,
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._quarantine = quarantine
        self._notify = notify
        self._now_ns = now_ns
        self._storm = storm or StormWatch()
        self._metrics = metrics or Metrics()
        self.health = health or Health()
        self._patience = patience or Patience(source, self.health)
        self._back_off = BackOff(rng or random.Random())
        self.intake = Intake(ledger, enrolment or Enrolment(ledger, now_ns, AUTHOR))
        self._name = name
        self._looked_at_ns = now_ns()
        self._in_hand: _Round | None = None
        self._owned: frozenset[int] = frozenset()

    def step(self, timeout_s: float) -> int:
        """One round; returns how many messages it took. Nothing is committed before it is recorded.

        A round that failed by `Retry` stays in hand, and the next step goes on with it.
        """
        round_ = self._in_hand = self._in_hand or self._poll(timeout_s)
        if round_.messages:
            self._open(round_)
            self._record(round_)
            self._source.commit(round_.messages)
            self._metrics.committed(len(round_.messages), round_.recorded or ())
        self._in_hand = None
        self._source.resume()
        self.health.settled()
        return len(round_.messages)

    def assess(self) -> None:
        """Raise what is due, if any total may have changed since the last time; on a server that others record into,
        only the writer of the journal does, for all of them.
        """
        ours = self._ledger.is_writer()
        if ours:
            self._patience.call(self._ledger.answer_requests)
        if ours and (self.intake.changed or self._ledger.shared or self._look_is_due()):
            # A replay may record meanwhile, which the next assessment must see.
            self.intake.changed = False
            self._looked_at_ns = self._now_ns()
            try:
                alerts = self._patience.call(lambda: self._ledger.raise_alerts(AUTHOR))
            except BaseException:
                self.intake.changed = True
                raise
            self._metrics.assessed()
            if alerts:
                self._notify(alerts)
        self.health.assessed(ours=ours)

    def _look_is_due(self) -> bool:
        """Silence changes no total, and is looked for all the same. A clock that was set back makes it due as well."""
        return not 0 <= self._now_ns() - self._looked_at_ns < LOOK_EVERY_NS

    def _stop_for(self, storm: QuarantineStorm) -> None:
        """Say it in the journal, once an hour however often we are started again, and raise the alert."""
        request = f"storm {self._name} {self._now_ns() // HOUR_NS}"
        data = {"collector": self._name, "detail": str(storm)}
        try:
            said = self._ledger.query("SELECT 1 FROM journal WHERE request = {id:String} LIMIT 1", {"id": request})
            if not said.rows:
                self._ledger.request([Statement(STORM, AUTHOR, data, request=request)])
            self.intake.changed = True
            self.assess()
        except (Retry, LedgerError) as error:
            log.warning("the storm is not on record: %s", error)

    def run(self, wait: Callable[[float], bool], assess_every_s: float) -> None:
        """Work until `wait`, which pauses for so many seconds, says that it is time to stop: after a whole round."""
        self.prepare()
        assessed_at_ns: int | None = None
        trouble = ""
        while True:
            self.health.beat()
            pause_s = 0.0
            try:
                taken = self.step(timeout_s=IDLE_S)
                # A clock that was set back makes it due as well: else nothing would be assessed for as long.
                since_ns = -1 if assessed_at_ns is None else self._now_ns() - assessed_at_ns
                due = not 0 <= since_ns < assess_every_s * 1e9
                if due or (taken == 0 and not self._ledger.shared):
                    self.assess()
                    assessed_at_ns = self._now_ns()
                if trouble:
                    log.warning("recording goes on")
                trouble = ""
                self.health.well()
                self._back_off.reset()
            except QuarantineStorm as storm:
                self._stop_for(storm)
                raise
            except (Retry, LedgerRetry) as error:
                if str(error) != trouble:
                    log.warning("%s; nothing was committed, trying again every few seconds", error)
                trouble = str(error)
                self.health.unwell(trouble)
                self._metrics.retried()
                pause_s = self._back_off.next_s()
                self._patience.keep_place()
            if wait(pause_s):
                return

    @staticmethod
    def prepare() -> None:
        """Make this process one that collects: a round holds many objects and no cycles, and looking for some again
        and again costs as much as opening them.
        """
        gc.freeze()
        gc.set_threshold(100_000, 20, 100)

    def close(self) -> None:
        """Let go of what is ours; source, ledger and quarantine are not."""
        self._patience.close()

    def _poll(self, timeout_s: float) -> _Round:
        self._source.resume()
        messages = self._source.poll(MAX_MESSAGES, timeout_s)
        owned = self._source.owned()
        if owned != self._owned:
            self._owned = owned
            self.intake.forget()
        # In microseconds, as it is recorded: who repeats the judgement must see the same time.
        return _Round(messages, self._now_ns() // 1_000 * 1_000)

    def _open(self, round_: _Round) -> None:
        if round_.opened is None:
            found = self.intake.open(round_.messages, round_.received_at_ns)
            round_.opened = deque(zip(round_.messages, found, strict=True))
        while round_.opened:
            message, held = round_.opened[0]
            if isinstance(held, Rejected):
                log.warning("%s/%d@%d quarantined: %s", message.topic, message.partition, message.offset, held.reason)
                self._quarantine.put(message, held.reason)
                self._metrics.quarantined(held.reason_class)
                self._storm.quarantined(held.key)
            else:
                round_.evidence.append(held)
                self._storm.opened()
            round_.opened.popleft()

    def _record(self, round_: _Round) -> None:
        if not round_.evidence or round_.recorded is not None:
            return
        began_s = time.monotonic()
        round_.recorded = self._patience.call(lambda: self.intake.record(round_.evidence))
        self._metrics.inserted(time.monotonic() - began_s)
