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
from wire.opening import from_headers, open_batches
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.enrolment import Enrolment
    from collector.sources.interface import Message
    from ledger.ledger import Ledger

log = logging.getLogger(__name__)


class Rejected:
    """Why a message is for the quarantine. `key` is that of who signed it, None where nobody we can name did."""

    def __init__(self, error: WireError | Untrusted, key: str | None) -> None:
        self.reason = str(error)
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

    def open(self, messages: Sequence[Message], received_at_ns: int) -> list[Evidence | Rejected]:
        """What each message holds; `Rejected` in the place of what cannot be opened or trusted."""
        held = [_sealed(message) for message in messages]
        opened = iter(open_batches([one for one in held if isinstance(one, Sealed)]))
        found: list[Evidence | Rejected] = []
        with self._lock:
            for message, sealed in zip(messages, held, strict=True):
                if not isinstance(sealed, Sealed):
                    found.append(Rejected(sealed, None))
                    continue
                batch = next(opened)
                try:
                    if isinstance(batch, WireError):
                        raise batch
                    self._enrolment.check(batch)
                    place = (message.topic, message.partition, message.offset)
                    found.append(Evidence(sealed, batch, received_at_ns, *place))
                except (WireError, Untrusted) as error:
                    found.append(Rejected(error, None if isinstance(error, Unauthentic) else sealed.key_id))
        return found

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


def _sealed(message: Message) -> Sealed | WireError:
    try:
        return from_headers(message.body, message.headers)
    except WireError as error:
        return error
