"""From a message to evidence: opened, trusted, judged. What cannot be opened or trusted goes into the quarantine."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from collector.errors import Untrusted
from collector.quarantine import reason_class
from ledger.evidence import Evidence
from ledger.labels import RunLabels
from ledger.trail import Trail
from wire.errors import Unauthentic, WireError
from wire.opening import from_headers, open_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.enrolment import Enrolment
    from collector.sources.interface import Message
    from ledger.ledger import Ledger
    from wire.seal import Sealed

log = logging.getLogger(__name__)


class Rejected(Exception):
    """This message is for the quarantine. `key` is that of who signed it, None where nobody we can name did."""

    def __init__(self, error: WireError | Untrusted, key: str | None) -> None:
        super().__init__(str(error))
        self.reason_class = reason_class(error)
        self.key = key


class Intake:
    """Thread-safe: the main loop and a replay of the quarantine both go through it, one round at a time."""

    def __init__(self, ledger: Ledger, enrolment: Enrolment) -> None:
        self._ledger = ledger
        self._enrolment = enrolment
        self._trail = Trail(ledger)
        self._labels = RunLabels(ledger)
        self._lock = threading.Lock()
        self.changed = True
        """Whether anything was recorded since the runs were held against the lines."""

    def open(self, message: Message, received_at_ns: int) -> Evidence:
        """The batch in a message; raises `Rejected` for what cannot be opened or trusted."""
        sealed: Sealed | None = None
        try:
            sealed = from_headers(message.body, message.headers)
            batch = open_batch(sealed)
            with self._lock:
                self._enrolment.check(batch)
        except (WireError, Untrusted) as error:
            signed = sealed is not None and not isinstance(error, Unauthentic)
            raise Rejected(error, sealed.key_id if sealed is not None and signed else None) from error
        return Evidence(sealed, batch, received_at_ns, message.topic, message.partition, message.offset)

    def record(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """Judge these and keep them; returns them as they are recorded. On return they are on disk."""
        with self._lock:
            self._enrolment.put_on_record(evidence)
            judged = self._judged(evidence)
            self._ledger.record(judged)
            self._labels.put_on_record(judged)
            self.changed = True
        for item in judged:
            if item.excluded_reason is not None:
                log.warning(
                    "batch %d of %s is kept but not counted: %s", item.batch.seq, item.batch.agent, item.excluded_reason
                )
        return judged

    def forget(self) -> None:
        """Other collectors may have recorded batches of our agents meanwhile."""
        with self._lock:
            self._trail.forget()

    def _judged(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        collisions = self._ledger.collisions(evidence)
        return self._trail.judged(
            [
                item if why is None else replace(item, excluded_reason=f"collision: {why}")
                for item, why in zip(evidence, collisions, strict=True)
            ]
        )
