"""One channel's queue: every message until the channel accepted it, in order per alert, whatever others do.

A channel that is away is tried again after a second, later after up to five minutes. A message that it refuses waits by
itself, and with it what comes after it about the same alert; all other alerts go on.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tenacity import RetryCallState, Retrying, wait_exponential_jitter

from collector.notify.errors import NotDelivered, Refused, Unreached
from ledger.deliveries import Attempt, Outcome
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.notify.channels.interface import Channel
    from collector.notify.message import Message

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
_WAIT = wait_exponential_jitter(initial=FIRST_WAIT_S, max=LONGEST_WAIT_S)
MOST_AT_ONCE = 64
LONGEST_STEP_S = 2.0
"""After so much of either, what became of the messages is put on record; a crash repeats no more than that."""
MOST_UNRECORDED = 10_000


class Standing(NamedTuple):
    """How a channel does: messages that wait, alerts that were tried in vain, and since when the oldest waits."""

    pending: int
    failing: int
    oldest_ns: int | None


@dataclass(slots=True)
class _Trouble:
    """Tries in vain in a row, and when the next one is due by the steady clock."""

    tries: int = 0
    due_s: float = 0.0

    def again(self, now_s: float, asked_s: float | None) -> None:
        self.tries += 1
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = self.tries
        # A channel may ask for more patience, but not for ever.
        self.due_s = now_s + max(_WAIT(state), min(asked_s or 0.0, LONGEST_WAIT_S))


@dataclass(slots=True)
class _Queue:
    messages: deque[Message] = field(default_factory=deque)
    trouble: _Trouble | None = None


class Lane:
    """Messages in, attempts out. `step` belongs to one thread; everything else may be called from any."""

    def __init__(
        self,
        channel: Channel,
        record: Callable[[Sequence[Attempt]], None],
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        """`record` puts attempts on record; `allowed` says whether it is still ours to send."""
        self.channel = channel
        self.wake = threading.Event()
        self._record = record
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._allowed = allowed
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}
        self._known: set[str] = set()
        self._latest: dict[str, Message] = {}
        self._tries: dict[str, int] = {}
        self._unrecorded: list[Attempt] = []
        self._down: _Trouble | None = None
        self._said = ""
        self._repeat_due_s = 0.0
        self._repeat_trouble = _Trouble()

    def begin(self, tries: Mapping[str, int], accepted: set[str], holding: Sequence[Message]) -> None:
        """Start anew with what is on record: how often each message was tried, which ones were accepted, and of those
        the latest about each alert that has not ended.
        """
        with self._lock:
            self._queues.clear()
            self._latest = {message.alert.alert_id: message for message in holding}
            self._known = accepted | {a.message_id for a in self._unrecorded if a.outcome == "accepted"}
            self._tries = dict(tries)
            self._down = None

    def put(self, message: Message) -> None:
        """Have it delivered, of each alert in the order of the calls. One that is known already is ignored."""
        with self._lock:
            if message.message_id in self._known:
                return
            self._known.add(message.message_id)
            self._queues.setdefault(message.alert.alert_id, _Queue()).messages.append(message)
        self.wake.set()

    def standing(self) -> Standing:
        """For whoever watches."""
        with self._lock:
            waiting = [queue for queue in self._queues.values() if queue.messages]
            return Standing(
                pending=sum(len(queue.messages) for queue in waiting),
                failing=sum(queue.trouble is not None for queue in waiting),
                oldest_ns=min((queue.messages[0].change.at_ns for queue in waiting), default=None),
            )

    def step(self) -> float | None:
        """Send what is due; returns in how many seconds something is due again, None when nothing waits."""
        began_s = self._monotonic()
        sent = 0
        while sent < MOST_AT_ONCE and self._monotonic() - began_s < LONGEST_STEP_S and self._allowed():
            message = self._next()
            if message is None:
                break
            self._send(message)
            sent += 1
        self._repeat()
        self._put_on_record()
        return self._due_in_s()

    def _next(self) -> Message | None:
        now_s = self._monotonic()
        with self._lock:
            if self._down is not None and now_s < self._down.due_s:
                return None
            for queue in self._queues.values():
                if self._down is not None or queue.trouble is None or now_s >= queue.trouble.due_s:
                    return queue.messages[0]
        return None

    def _send(self, message: Message) -> None:
        try:
            detail = self.channel.send(message)
        except NotDelivered as error:
            self._failed(message, error)
            return
        except Exception as error:
            # Its text may hold a URL, so only its kind is said. The others must not wait for a fix.
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._failed(message, Refused(f"our own mistake: {type(error).__name__} in {where.name}"))
            return
        self._note(message, "accepted", detail)
        alert_id = message.alert.alert_id
        with self._lock:
            queue = self._queues.get(alert_id)
            if queue is not None and queue.messages and queue.messages[0] is message:
                queue.messages.popleft()
                queue.trouble = None
                if not queue.messages:
                    del self._queues[alert_id]
            self._latest[alert_id] = message
            self._down = None
        if self._said:
            log.warning("channel %s takes messages again", self.channel.name)
            self._said = ""

    def _failed(self, message: Message, error: NotDelivered) -> None:
        refused = isinstance(error, Refused)
        self._note(message, "refused" if refused else "unreached", str(error))
        alert_id, now_s = message.alert.alert_id, self._monotonic()
        with self._lock:
            queue = self._queues.pop(alert_id, None)
            if queue is not None:
                # Behind the others: should it be this message alone, they get their turn.
                self._queues[alert_id] = queue
                queue.trouble = queue.trouble or _Trouble()
                queue.trouble.again(now_s, None)
            if isinstance(error, Unreached):
                self._down = self._down or _Trouble()
                self._down.again(now_s, error.retry_after_s)
        if str(error) != self._said:
            self._said = str(error)
            log.warning(
                "channel %s did not take message %s: %s; %d wait, and are tried until it takes them",
                self.channel.name,
                message.message_id,
                error,
                self.standing().pending,
            )

    def _note(self, message: Message, outcome: Outcome, detail: str) -> None:
        tries = self._tries[message.message_id] = self._tries.get(message.message_id, 0) + 1
        self._unrecorded.append(
            Attempt(
                self._now_ns(),
                self.channel.name,
                self.channel.sha256,
                outcome,
                message.change.entry_index,
                message.message_id,
                message.alert.alert_id,
                message.name,
                tries,
                detail,
            )
        )

    def _put_on_record(self) -> None:
        if not self._unrecorded:
            return
        try:
            self._record(self._unrecorded)
        except LedgerError as error:
            # What was accepted must be remembered; what failed is tried again anyway.
            log.warning("what became of %d messages is not on record yet: %s", len(self._unrecorded), error)
            if len(self._unrecorded) > MOST_UNRECORDED:
                self._unrecorded = [attempt for attempt in self._unrecorded if attempt.outcome == "accepted"]
            return
        self._unrecorded = []

    def _repeat(self) -> None:
        now_s = self._monotonic()
        every_s = self.channel.repeat_every_s
        if every_s is None or now_s < self._repeat_due_s or not self._allowed():
            return
        with self._lock:
            latest = list(self._latest.values())
        self._repeat_due_s = now_s + every_s
        if not latest:
            return
        try:
            self.channel.repeat(latest)
            self._repeat_trouble = _Trouble()
        except NotDelivered as error:
            self._repeat_trouble.again(now_s, None)
            self._repeat_due_s = min(self._repeat_due_s, self._repeat_trouble.due_s)
            if str(error) != self._said:
                self._said = str(error)
                log.warning("channel %s was not told again what holds: %s", self.channel.name, error)

    def _due_in_s(self) -> float | None:
        now_s = self._monotonic()
        with self._lock:
            due = [queue.trouble.due_s if queue.trouble else now_s for queue in self._queues.values()]
            soonest = [max(min(due), self._down.due_s if self._down else 0.0)] if due else []
            if self._down is not None and due:
                soonest = [self._down.due_s]
            if self.channel.repeat_every_s is not None and self._latest:
                soonest.append(self._repeat_due_s)
        if self._unrecorded:
            soonest.append(now_s + FIRST_WAIT_S)
        return max(0.0, min(soonest) - now_s) if soonest else None
