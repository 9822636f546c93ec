"""The main flow of delivery: read what changed in the journal, put it into every channel's lane, let each lane send.

Nothing is kept here that the ledger does not hold: which changes there were is in the journal, what became of each
message is in `deliveries`. Whoever owns partition 0 next reads both, and goes on.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from collector.notify.changes import Changes
from collector.notify.lane import Lane
from collector.notify.message import messages
from ledger.deliveries import Attempt
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from collector.notify.changes import Change
    from collector.notify.channels.interface import Channel
    from ledger.store import Result

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
"""How long an acknowledgement that a command wrote waits at most before it is noticed; new alerts are told at once."""
_NEWEST = "SELECT count(), max(entry_index) FROM journal"
_ADDED = "SELECT channel, min(entry_index) FROM deliveries WHERE outcome = 'added' GROUP BY channel"
_TRIED = (
    "SELECT message_id, max(attempt), countIf(outcome = 'accepted') > 0 FROM deliveries "
    "WHERE channel = {channel:String} AND outcome != 'added' GROUP BY message_id"
)


class Outlet(Protocol):
    """What delivery needs of a ledger: held here, by another process, or on a server."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Rows of one statement that reads."""
        ...

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep what became of messages."""
        ...


class Notifier:
    """Delivers for as long as `is_writer` says that it is ours to do."""

    def __init__(
        self,
        ledger: Outlet,
        channels: Sequence[Channel],
        now_ns: Callable[[], int],
        is_writer: Callable[[], bool] = lambda: True,
        runbook_url: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._now_ns = now_ns
        self._is_writer = is_writer
        self._runbook_url = runbook_url
        self._since: dict[str, int] = {}
        self._changes: Changes | None = None
        self._unseen: set[str] = set()
        self.lanes = [Lane(channel, ledger.record_attempts, now_ns, monotonic, is_writer) for channel in channels]

    def step(self) -> float | None:
        """Look, and send on every channel in turn; returns in how many seconds to come again. Tests call it, and who
        has no threads; `collector.notify.threads` gives each channel a thread of its own.
        """
        self.look()
        waits = [wait_s for lane in self.lanes if (wait_s := lane.step()) is not None]
        return min(waits, default=None)

    def look(self) -> float | None:
        """Take in what changed; returns when to look again. A ledger that is away is looked at again then."""
        if not self._is_writer():
            # Another one may deliver meanwhile: what we knew is old when it is our turn again.
            self._changes = None
            return LOOK_EVERY_S
        try:
            if self._changes is None:
                self._begin()
            else:
                self._go_on(self._changes)
        except LedgerError as error:
            log.warning("alerts cannot be read: %s; trying again", error)
        return LOOK_EVERY_S

    def _begin(self) -> None:
        changes = Changes(self._ledger)
        changes.read()
        self._since = self._added()
        known = changes.all()
        latest = {change.alert_id: change for change in known}
        everywhere = {change.message_id for change in known}
        for lane in self.lanes:
            tried = self._ledger.query(_TRIED, {"channel": lane.channel.name}).rows
            accepted = {row[0] for row in tried if row[2]}
            everywhere &= accepted
            taken = {change.alert_id: change for change in known if change.message_id in accepted}
            repeats = lane.channel.repeat_every_s is not None
            holding = [c for c in taken.values() if repeats and latest[c.alert_id].name != "resolved"]
            found = messages(self._ledger, holding, self._runbook_url)
            lane.begin({row[0]: int(row[1]) for row in tried}, accepted, found)
        self._unseen = set()
        self._put(changes, {change.alert_id for change in known if change.message_id not in everywhere})
        self._changes = changes

    def _go_on(self, changes: Changes) -> None:
        self._unseen.update(changes.read())
        if self._unseen:
            self._put(changes, self._unseen)

    def _put(self, changes: Changes, alert_ids: set[str]) -> None:
        due = [change for alert_id in alert_ids for change in changes.of(alert_id)]
        found = messages(self._ledger, sorted(due, key=lambda change: change.entry_index), self._runbook_url)
        ends = {(c.alert_id, c.raising): c.entry_index for c in due if c.name == "resolved"}
        for message in found:
            for lane in self.lanes:
                if lane.channel.wants(message) and self._is_for(lane, message.change, ends):
                    lane.put(message)
        self._unseen = {change.alert_id for change in due} - {message.alert.alert_id for message in found}

    def _is_for(self, lane: Lane, change: Change, ends: Mapping[tuple[str, int], int]) -> bool:
        """A channel is told what came after it was added, and what held then."""
        end = ends.get((change.alert_id, change.raising))
        return end is None or end > self._since[lane.channel.name]

    def _added(self) -> dict[str, int]:
        since = {row[0]: int(row[1]) for row in self._ledger.query(_ADDED).rows}
        new = [lane.channel for lane in self.lanes if lane.channel.name not in since]
        if new:
            ((count, newest),) = self._ledger.query(_NEWEST).rows
            at = int(newest) if count else 0
            self._ledger.record_attempts(
                [Attempt(self._now_ns(), channel.name, channel.sha256, "added", at) for channel in new]
            )
            since |= {channel.name: at for channel in new}
        return since
