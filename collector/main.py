"""The collector's main flow: poll → open → record → commit; then, on what changed, assess → notify."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from collector.errors import Retry
from collector.quarantine import StormWatch
from ledger.errors import Retry as LedgerRetry
from ledger.evidence import Evidence
from wire.errors import WireError
from wire.opening import from_headers, open_batch
from wire.plausible import implausible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.quarantine import Quarantine
    from collector.sources.interface import Message, Source
    from ledger.assess import Alert
    from ledger.ledger import Ledger

log = logging.getLogger(__name__)

MAX_MESSAGES = 2_048
IDLE_S = 0.5
"""How long a round waits for a first message."""
AUTHOR = "collector"


class Collector:
    """Moves batches from a source into a ledger. Driven from one thread."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        quarantine: Quarantine,
        notify: Callable[[Sequence[Alert]], None],
        now_ns: Callable[[], int],
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._quarantine = quarantine
        self._notify = notify
        self._now_ns = now_ns
        self._storm = StormWatch()
        self._changed = True

    def step(self, timeout_s: float) -> int:
        """One round; returns how many messages it took. Nothing is committed before it is recorded."""
        messages = self._source.poll(MAX_MESSAGES, timeout_s)
        if not messages:
            return 0
        evidence = [item for message in messages if (item := self._open(message)) is not None]
        if evidence:
            self._enrol(evidence)
            self._ledger.record(self._judge(evidence))
            self._changed = True
        self._source.commit(messages)
        return len(messages)

    def assess(self) -> None:
        """Raise what is due, if any total may have changed since the last time; on a server that others record into,
        only the writer of the journal does, for all of them.
        """
        if not self._ledger.is_writer():
            return
        self._ledger.answer_requests()
        if self._changed or self._ledger.shared:
            alerts = self._ledger.raise_alerts(AUTHOR)
            self._changed = False
            if alerts:
                self._notify(alerts)

    def run(self, wait: Callable[[float], bool], assess_every_s: float) -> None:
        """Work until `wait`, which pauses for so many seconds, says that it is time to stop."""
        assess_at_ns = 0
        trouble = ""
        while True:
            pause_s = 0.0
            try:
                taken = self.step(timeout_s=IDLE_S)
                if (taken == 0 and not self._ledger.shared) or self._now_ns() >= assess_at_ns:
                    self.assess()
                    assess_at_ns = self._now_ns() + round(assess_every_s * 1e9)
                if trouble:
                    log.warning("recording goes on")
                trouble = ""
            except (Retry, LedgerRetry) as error:
                if str(error) != trouble:
                    log.warning("%s; nothing was committed, trying again every few seconds", error)
                trouble = str(error)
                self._source.close()
                pause_s = 5.0
            if wait(pause_s):
                return

    def _open(self, message: Message) -> Evidence | None:
        try:
            sealed = from_headers(message.body, message.headers)
            batch = open_batch(sealed)
        except WireError as error:
            log.warning("%s/%d@%d quarantined: %s", message.topic, message.partition, message.offset, error)
            self._quarantine.put(message, str(error))
            self._storm.saw(opened=False)
            return None
        self._storm.saw(opened=True)
        return Evidence(sealed, batch, self._now_ns(), message.topic, message.partition, message.offset)

    def _judge(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """Mark what is signed but cannot be true: it is kept, and counts towards nothing."""
        judged = []
        for item, collision in zip(evidence, self._ledger.collisions(evidence), strict=True):
            reason = implausible(item.batch, item.received_at_ns) or collision
            if reason is not None:
                log.warning("batch %d of %s is kept but not counted: %s", item.batch.seq, item.batch.agent, reason)
            judged.append(item if reason is None else replace(item, excluded_reason=reason))
        return judged

    def _enrol(self, evidence: Sequence[Evidence]) -> None:
        fresh = {
            item.batch.agent: (item.batch.cluster, item.batch.node)
            for item in evidence
            if not self._ledger.knows_agent(item.batch.agent)
        }
        if fresh:
            self._ledger.enrol(fresh, "first use", AUTHOR)
