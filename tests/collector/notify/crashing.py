"""Assessor and notifier in lives that end at random moments, over one ledger that stays: nothing may be lost.

A life is everything but the engine: it ends by an exception that nothing of ours catches, before or after any call to
the engine, and before or after a channel has accepted. Channels fail by themselves as well.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from collector.notify.errors import Refused, Unreached
from collector.notify.notifier import Notifier
from ledger.assessment.alert import acknowledgement, resolution
from ledger.journal import Journal
from ledger.ledger import Ledger
from tests.collector.notify.world import S_NS, Times
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import LEDGER_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.notify.message import Message
    from ledger.store import Store

RUNS = 3
"""At work at a time; one that has crossed the line makes room for another."""
STEPS = 4
"""A life that is not cut short does so many rounds."""
ASSESSORS = 0.4
"""Share of lives that assess; the others deliver what those have raised, and end sooner."""
LONGEST = {True: 90, False: 40}
"""Moments after which a life ends at the latest."""
LINE, LINE_FLOP = "eu-aia-51-2", 10**25
PERCENTS = (50, 75, 90, 100)


class Crash(BaseException):
    """The process is gone."""


class Fuse:
    """Ends a life at its `burns`th moment."""

    def __init__(self, burns: float) -> None:
        self.left = burns

    def moment(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            self.moment()
            found = call(*arguments, **options)
            self.moment()
            return found

        return called


class Mortal:
    """The engine as one life sees it."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self._store = store
        self.insert = fuse.around(store.insert)
        self.query = fuse.around(store.query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass
class Receiver:
    """Outlives every life. What it has accepted it may get again, but only under the same id."""

    name: str
    repeat_every_s: float | None
    rng: Random
    received: list[tuple[str, tuple[str, int, str]]] = field(default_factory=list)
    fuse: Fuse = field(default_factory=lambda: Fuse(float("inf")))
    failing: float = 0.3
    sha256: str = "0" * 64

    def wants(self, message: Message) -> bool:
        return True

    def send(self, message: Message) -> str:
        self.fuse.moment()
        chance = self.rng.random()
        if chance < self.failing:
            raise (Refused if chance < self.failing / 2 else Unreached)("no")
        self.received.append((message.message_id, (message.alert.alert_id, message.change.raising, message.name)))
        self.fuse.moment()
        return "yes"

    def repeat(self, latest: Sequence[Message]) -> None:
        self.fuse.moment()


@dataclass(frozen=True)
class Outcome:
    """`lost`: messages that a channel never accepted, or alerts that were never raised. The rest explains itself."""

    crashes: int
    alerts: int
    messages: int
    repeated: int
    lost: list[str]
    raised_twice: list[str]
    other_ids: list[str]
    out_of_order: list[str]


class World:
    """Runs that grow past a line, people who acknowledge, findings that are over."""

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._rng = Random(seed)
        # Waits are drawn from it.
        random.seed(seed)
        self._times = Times()
        self._chain = Chain()
        self._flop: dict[str, int] = {f"run-{n}": 0 for n in range(RUNS)}
        self.crashes = 0
        self.receivers = [
            Receiver("webhook", None, Random(seed + 1)),
            Receiver("alertmanager", 60.0, Random(seed + 2)),
        ]

    def live(self, crashes: int) -> None:
        """Lives that end early, so many of them, after one that does not."""
        self._life(self._store, STEPS, assesses=True)
        while self.crashes < crashes:
            assesses = self._rng.random() < ASSESSORS
            fuse = Fuse(self._rng.randrange(1, LONGEST[assesses]))
            for receiver in self.receivers:
                receiver.fuse = fuse
            try:
                self._life(Mortal(self._store, fuse), STEPS, assesses=assesses)
            except Crash:
                self.crashes += 1

    def outcome(self) -> Outcome:
        """After a last life that nothing ends, and in which every channel accepts."""
        for receiver in self.receivers:
            receiver.fuse, receiver.failing = Fuse(float("inf")), 0.0
        ledger, notifier = self._life(self._store, 1, assesses=True)
        while any(lane.standing().pending for lane in notifier.lanes):
            self._times.pass_s(301)
            notifier.step()
        said = self._said()
        received = {receiver.name: receiver.received for receiver in self.receivers}
        lost = [f"{name} {key}" for name, got in received.items() for key in said - {key for _, key in got}]
        lost += self._never_raised(ledger)
        ids: dict[tuple[str, int, str], set[str]] = {}
        for got in received.values():
            for identity, key in got:
                ids.setdefault(key, set()).add(identity)
        raised = Counter(row[0] for row in self._entries("alert"))
        return Outcome(
            crashes=self.crashes,
            alerts=len(raised),
            messages=len(said),
            repeated=sum(len(got) - len(set(got)) for got in received.values()),
            lost=lost,
            raised_twice=[alert_id for alert_id, count in raised.items() if count > 1],
            other_ids=[str(key) for key, found in ids.items() if len(found) > 1],
            out_of_order=[f"{name} {key}" for name, got in received.items() for key in _out_of_order(got)],
        )

    def _life(self, store: Any, steps: int, *, assesses: bool) -> tuple[Ledger, Notifier]:
        ledger = Ledger(store, Journal(store, LEDGER_KEY, self._times.wall), self._times.wall)
        notifier = Notifier(ledger, self.receivers, self._times.wall, monotonic=self._times.monotonic)
        for _ in range(steps):
            if assesses:
                self._grow(ledger)
                ledger.raise_alerts("collector")
            self._people(ledger)
            notifier.step()
            self._times.pass_s(self._rng.choice((1, 5, 60, 400)))
        return ledger, notifier

    def _grow(self, ledger: Ledger) -> None:
        """Agents repeat what was not committed: the counters of the world go on, whatever is on record."""
        at_work = list(self._flop)[-RUNS:]
        for run in at_work:
            self._flop[run] += self._rng.randrange(LINE_FLOP // 3)
        if self._flop[at_work[0]] > 12 * LINE_FLOP // 10:
            self._flop[f"run-{len(self._flop)}"] = 0
        readings = [meter(self._flop[run], at_ns=self._times.now_ns - S_NS, run=run) for run in at_work]
        take(ledger, [self._chain.seal(*readings, sealed_at_ns=self._times.now_ns)])

    def _people(self, ledger: Ledger) -> None:
        rows = ledger.query("SELECT alert_id, state FROM alerts ORDER BY alert_id").rows
        for alert_id, state in rows:
            if state == "raised" and self._rng.random() < 0.3:
                ledger.append([acknowledgement(alert_id, "", "ada")])
            elif self._rng.random() < 0.02:
                ledger.append([resolution(alert_id, "over", "collector")])

    def _entries(self, kind: str) -> list[Any]:
        return list(
            self._store.query(
                "SELECT JSONExtractString(body, 'data', 'alert_id'), entry_index FROM journal "
                "WHERE kind = {kind:String} ORDER BY entry_index",
                {"kind": kind},
            ).rows
        )

    def _said(self) -> set[tuple[str, int, str]]:
        """What the journal says happened, found in another way than the notifier's: by sets."""
        raised = {row[0] for row in self._entries("alert")}
        over = {row[0]: row[1] for row in reversed(self._entries("resolution"))}
        taken = {row[0] for row in self._entries("acknowledgement") if row[1] < over.get(row[0], float("inf"))}
        return {
            (alert_id, 1, name)
            for name, found in (("raised", raised), ("acknowledged", taken), ("resolved", set(over)))
            for alert_id in found
        }

    def _never_raised(self, ledger: Ledger) -> list[str]:
        found = ledger.query(
            "SELECT DISTINCT subject, percent FROM alert_history WHERE kind = 'estimate' AND subject_kind = 'run' "
            "AND threshold = {line:String}",
            {"line": LINE},
        ).rows
        raised = {(subject, int(percent)) for subject, percent in found}
        due = {
            (run, percent)
            for run, flop in self._flop.items()
            for percent in PERCENTS
            if flop * 100 > LINE_FLOP * percent
        }
        return [f"never raised: {subject} {percent} %" for subject, percent in sorted(due - raised)]


def _out_of_order(received: Sequence[tuple[str, tuple[str, int, str]]]) -> list[tuple[str, int, str]]:
    """Messages that came first after one that follows them."""
    rank = {"raised": 0, "acknowledged": 1, "resolved": 2}
    first: dict[tuple[str, int, str], int] = {}
    for place, (_, key) in enumerate(received):
        first.setdefault(key, place)
    by_alert: dict[str, list[tuple[str, int, str]]] = {}
    for key in sorted(first, key=lambda key: first[key]):
        by_alert.setdefault(key[0], []).append(key)
    return [
        later
        for keys in by_alert.values()
        for earlier, later in pairwise(keys)
        if (earlier[1], rank[earlier[2]]) > (later[1], rank[later[2]])
    ]
