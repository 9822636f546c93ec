"""The agent's main flow: sample → attribute → count → seal → store; a shipper or the collector takes it from there."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from agent import baseline
from agent.attribution.share import shares
from agent.attribution.sources import Attribution
from agent.booking import book_delta, book_gap, book_report, report_label
from agent.counters import Counters
from agent.devices.interface import Method, Snapshot
from agent.errors import Retry, SkipDevice
from compute.accelerators import VERSION
from wire.batch import Batch, DeviceRecord, Event, Readings
from wire.seal import seal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.attribution.interface import IdentitySource, RunIdentity
    from agent.devices.interface import Backend, Device, ProcessKey
    from agent.identity import AgentIdentity
    from agent.outbox import Outbox
    from agent.reports.book import ReportBook

log = logging.getLogger(__name__)

INVENTORY_EVERY_TICKS = 60
PATIENCE_NS = 60_000_000_000
UNREAD = "unread"
"""The reset epoch of a device that was listed and could not be read yet."""
_RANK = {method.value: rank for rank, method in enumerate(Method)}


class Agent:
    """Counts the devices of one node for one incarnation. Driven from one thread: `tick` often, `seal` now and then.

    `alive` says whether a process still lives: who was on a device that cannot be read any more has its time.
    """

    def __init__(
        self,
        identity: AgentIdentity,
        backends: Sequence[Backend],
        attribution: Attribution | Sequence[IdentitySource],
        reports: ReportBook,
        outbox: Outbox,
        now_ns: Callable[[], int],
        alive: Callable[[ProcessKey], bool] = lambda _: False,
    ) -> None:
        self._identity = identity
        self._alive = alive
        self._backends = backends
        if not isinstance(attribution, Attribution):
            attribution = Attribution(attribution, now_ns)
        self._attribution = attribution
        self._reports = reports
        self._outbox = outbox
        self._now_ns = now_ns
        self._counters = Counters()
        self._events: list[Event] = []
        self._inventory: dict[str, tuple[Backend, Device, DeviceRecord]] = {}
        self._inventory_sealed: tuple[DeviceRecord, ...] = ()
        self._silent: dict[str, str] = {}
        self._sealing_waits = False
        self._away: list[str] = []
        self.ticks = 0
        stored = outbox.baseline() or {"snapshots": {}, "reports": None, "at_ns": 0}
        self._before: dict[str, Snapshot] = baseline.decode(stored["snapshots"])
        self._last_ns: int = stored["at_ns"]
        if stored["reports"] is not None:
            reports.restore(stored["reports"])
        self._event("start", detail={"resumed": int(bool(self._before))})

    @property
    def devices(self) -> list[Device]:
        """What is measured now."""
        return [device for _, device, _ in self._inventory.values()]

    @property
    def silent_devices(self) -> int:
        """How many devices could not be read the last time."""
        return sum(device in self._silent for device in self._inventory)

    @property
    def trouble(self) -> str | None:
        """Why nothing is counted now; None when something is."""
        if not self._inventory:
            reasons = "; ".join(self._away) or "no backend finds one"
            return f"no device can be measured: {reasons}. `flopledger agent devices` says more"
        silent = [self._silent[device] for device in self._inventory if device in self._silent]
        return f"no device can be read: {'; '.join(silent)}" if len(silent) == len(self._inventory) else None

    def tick(self) -> None:
        """Sample every device once and count what happened since the last time."""
        if self.ticks % INVENTORY_EVERY_TICKS == 0:
            self._take_inventory()
        self.ticks += 1
        for backend, device, _ in list(self._inventory.values()):
            try:
                self._sample(backend, device)
            except (SkipDevice, Retry) as error:
                self._fell_silent(device.id, str(error))
                self._declare(device, lost=isinstance(error, SkipDevice) and error.lost)
        for named in self._attribution.news():
            self._event("attribution", run=named.run, detail={"source": named.source, "within": named.within})

    def seal(self) -> bool:
        """Seal what moved since the last batch and store it; False when there was nothing, or no room for it now."""
        reported, report_state = self._reports.take()
        now_ns = self._time()
        for report in reported:
            book_report(self._counters, report, now_ns)
            self._attribution.labels.met(report_label(report))
        for label in self._attribution.labels.news():
            self._event("run", run=label.run, detail=label.detail)
        readings = self._counters.moved()
        inventory = tuple(record for _, _, record in self._inventory.values())
        fresh = inventory if inventory != self._inventory_sealed else ()
        if not (readings or self._events or fresh):
            return False
        try:
            self._store(readings, fresh, now_ns, report_state)
        except Retry as error:
            if not self._sealing_waits:
                log.warning("%s", error)
            self._sealing_waits = True
            return False
        if self._sealing_waits:
            log.warning("sealing goes on: what was counted meanwhile is in batch %d", self._outbox.next_seq - 1)
        self._sealing_waits = False
        self._counters.sealed()
        self._events.clear()
        self._inventory_sealed = inventory
        return True

    def _sample(self, backend: Backend, device: Device) -> None:
        after = backend.snapshot(device)
        before = self._before.get(device.id)
        if self._silent.pop(device.id, None) is not None:
            self._event("device-back", device=device.id)
        if before is None:
            self._before[device.id] = after
            return
        if before.epoch != after.epoch or (before.handle is None and not before.resumable):
            # No counter reaches across: what happened in between is known only by its bounds.
            self._gap("reset" if before.epoch != after.epoch else "gap", device, before, after)
            return
        try:
            delta = backend.delta(before, after)
        except SkipDevice as error:
            log.warning("%s", error)
            self._gap("reset", device, before, after)
            return
        if delta is not None:
            self._before[device.id] = after
            split = shares(delta, before.processes, after.processes, self._identify(device))
            book_delta(self._counters, device, delta, split, self._time())

    def _declare(self, device: Device, *, lost: bool) -> None:
        """Declare the time up to now of a device that cannot be read, as soon as nothing will tell of it later.

        Counters that outlive everything may, unless they are lost; those of this process do for a minute.
        """
        now_ns = self._time()
        before = self._before.get(device.id)
        if before is None:
            self._before[device.id] = Snapshot(device.id, now_ns, UNREAD, False, {})
            return
        if not lost and (before.resumable or (before.handle is not None and now_ns - before.at_ns < PATIENCE_NS)):
            return
        alive = tuple(use for use in before.processes if self._alive(use.key))
        after = Snapshot(device.id, max(now_ns, before.at_ns), before.epoch, False, {}, alive)
        self._before[device.id] = after
        book_gap(self._counters, device, before, after, self._identify(device), now_ns)

    def _gap(self, kind: str, device: Device, before: Snapshot, after: Snapshot) -> None:
        self._event(kind, device=device.id)
        self._before[device.id] = after
        book_gap(self._counters, device, before, after, self._identify(device), self._time())

    def _store(self, readings: list[Any], inventory: tuple[DeviceRecord, ...], now_ns: int, reports: Any) -> None:
        size_guess = 512 * (len(readings) + len(inventory) + len(self._events) + 2)
        thinned = self._outbox.plan_thinning(size_guess)
        gone = [
            Event("thinned", now_ns, detail={"first_seq": t.first_seq, "last_seq": t.last_seq, "sha256": t.last_sha256})
            for t in thinned
        ]
        identity = self._identity
        seq = self._outbox.next_seq
        batch = Batch(
            cluster=identity.cluster,
            node=identity.node,
            agent=identity.name,
            chain=self._outbox.chain,
            incarnation=identity.incarnation,
            seq=seq,
            prev=self._outbox.head,
            sealed_at_ns=now_ns,
            rates=VERSION,
            readings=Readings.from_rows(readings),
            devices=inventory,
            events=(*self._events, *gone),
        )
        self._outbox.store(
            seq,
            seal(batch, identity.key),
            meters=[(r.run, r.purpose, r.device, r.basis, r.method, r.dtype, r.attribution) for r in readings],
            incarnation=str(identity.incarnation),
            baseline={"snapshots": baseline.encode(self._before.values()), "reports": reports, "at_ns": now_ns},
            thinned=thinned,
            keep=bool(inventory or batch.events),
        )

    def _take_inventory(self) -> None:
        found: dict[str, tuple[Backend, Device, DeviceRecord]] = {}
        self._away = []
        for backend in self._backends:
            try:
                for device in backend.devices():
                    record = _record(backend, device)
                    # Two backends may reach one device: whoever measures it better counts it, and nobody else.
                    if device.id not in found or _RANK[record.method] < _RANK[found[device.id][2].method]:
                        found[device.id] = (backend, device, record)
            except (SkipDevice, Retry) as error:
                log.warning("%s: %s", backend.name, error)
                self._away.append(f"{backend.name}: {error}")
                found.update({name: held for name, held in self._inventory.items() if held[0] is backend})
            self._away += backend.notices
        self._inventory = found

    def _identify(self, device: Device) -> Callable[[ProcessKey], RunIdentity | None]:
        return partial(self._attribution.identify, device=device)

    def _fell_silent(self, device: str, reason: str) -> None:
        if device not in self._silent:
            log.warning("%s", reason)
            self._event("device-silent", device=device, detail={"reason": reason})
        self._silent[device] = reason

    def _event(
        self,
        kind: str,
        device: str | None = None,
        detail: dict[str, str | int | None] | None = None,
        run: str | None = None,
    ) -> None:
        self._events.append(Event(kind, self._time(), device, run, detail or {}))

    def _time(self) -> int:
        """The clock, held still while it runs behind what was already said: readings never go back in time."""
        now_ns = self._now_ns()
        if now_ns < self._last_ns:
            if now_ns < self._last_ns - 1_000_000_000 and "clock" not in self._silent:
                log.warning(
                    "the clock went back by %.1f s: time stands still until it catches up",
                    (self._last_ns - now_ns) / 1e9,
                )
                self._silent["clock"] = "went back"
                self._event("clock-back", detail={"by_ns": self._last_ns - now_ns})
            return self._last_ns
        self._silent.pop("clock", None)
        self._last_ns = now_ns
        return now_ns


def _record(backend: Backend, device: Device) -> DeviceRecord:
    best = next((way.method.value for way in backend.capabilities(device) if way.available), "unobserved")
    return DeviceRecord(
        device.id,
        device.kind,
        device.name,
        device.accelerator,
        device.units,
        device.clock_max_mhz,
        device.parent,
        device.driver,
        best,
        device.flop_per_s_max,
    )
