"""A collector with everything around it: the ledger it holds, the socket it serves, and a clean end."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from collector.endpoint import Endpoint
from collector.enrolment import Enrolment
from collector.intake import Intake
from collector.ledger_gauges import LedgerGauges
from collector.main import AUTHOR, Collector
from collector.notify.service import delivering
from collector.quarantine import DirectoryQuarantine, StormWatch
from collector.replay import REPLAY, admit_here, admit_there, answering
from collector.telemetry import Telemetry
from ledger.access import Holder, Remote, connect
from ledger.assessment.rules import Rules
from ledger.ledger import Ledger
from ledger.place import Server, place
from ledger.refreshing import refreshing
from ledger.store import Store
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cli.settings import Settings
    from collector.quarantine import Quarantine
    from collector.replay import Admit
    from collector.sources.interface import Source
    from ledger.assessment.alert import Alert

log = logging.getLogger(__name__)


@contextmanager
def collecting(
    source: Source,
    data_dir: Path,
    notify: Callable[[Sequence[Alert]], None],
    now_ns: Callable[[], int],
    quarantine: Quarantine | None = None,
    server: Server | None = None,
    is_writer: Callable[[], bool] = lambda: True,
    settings: Settings | None = None,
) -> Iterator[tuple[Collector, Ledger]]:
    """Hold the ledger in `data_dir` and serve it to other commands while collecting into it; with a `server` collect
    into the one there, beside others, of whom the one that `is_writer` writes the journal.

    Without a `quarantine` there is one in `data_dir`. `settings` say whose keys count, where the limits are, and where
    to listen; without them a key is trusted on first use, and nothing listens.
    """
    kept = quarantine or quarantine_in(data_dir)
    with ExitStack() as stack:
        stack.callback(source.close)
        ledger = stack.enter_context(closing(Ledger.open(server or data_dir, now_ns, is_writer)))
        if settings is not None:
            ledger.watch(Rules.of(settings))
        telemetry = stack.enter_context(closing(Telemetry()))
        deliver = stack.enter_context(delivering(ledger, settings, now_ns, telemetry.metrics))

        def tell(alerts: Sequence[Alert]) -> None:
            notify(alerts)
            deliver()

        collector = Collector(
            source,
            ledger,
            kept,
            tell,
            now_ns,
            enrolment=_enrolment(ledger, now_ns, settings),
            storm=_storm(settings),
            metrics=telemetry.metrics,
            name=AUTHOR if settings is None else settings.kafka_instance or settings.node,
        )
        stack.callback(collector.close)
        telemetry.watch(source, collector.health)
        LedgerGauges(ledger, now_ns).offer(telemetry.metrics)
        if server is None:
            holder = Holder(ledger, data_dir, {REPLAY: answering(collector.intake, now_ns)})
            stack.callback(holder.stop)
            holder.start()
        else:
            stack.enter_context(refreshing(lambda: Store.server(server), ledger.is_writer))
        if settings is not None and settings.collector_port:
            endpoint = Endpoint(settings.collector_host, settings.collector_port, collector.health, telemetry, ledger)
            stack.callback(endpoint.stop)
            endpoint.start()
        yield collector, ledger


@contextmanager
def admitting(settings: Settings, now_ns: Callable[[], int]) -> Iterator[Admit]:
    """What records messages of the quarantine: here, or in the process that holds the ledger."""
    with ExitStack() as stack:
        there = place(settings)
        if not isinstance(there, Server):
            access = stack.enter_context(connect(there, now_ns))
            if isinstance(access, Remote):
                yield partial(admit_there, access)
                return
            assert isinstance(access, Ledger)
            ledger = access
        else:
            # Beside the collectors: one of those writes the journal.
            ledger = stack.enter_context(closing(Ledger.open(there, now_ns, lambda: False)))
        yield partial(admit_here, Intake(ledger, _enrolment(ledger, now_ns, settings)), now_ns)


def _enrolment(ledger: Ledger, now_ns: Callable[[], int], settings: Settings | None) -> Enrolment:
    if settings is None:
        return Enrolment(ledger, now_ns, AUTHOR)
    return Enrolment(ledger, now_ns, AUTHOR, settings.enrolment, settings.agent_keys_file)


def _storm(settings: Settings | None) -> StormWatch:
    if settings is None:
        return StormWatch()
    return StormWatch(settings.quarantine_max_share, settings.quarantine_max_consecutive)


def quarantine_in(data_dir: Path) -> DirectoryQuarantine:
    """The quarantine of a collector without Kafka."""
    return DirectoryQuarantine(data_dir / "quarantine")


def announce(alerts: Sequence[Alert]) -> None:
    """Say each alert in one line of the log."""
    for alert in alerts:
        when = "" if alert.expected_at_ns is None else f", expected {format_ns(alert.expected_at_ns)[:16]}Z"
        log.warning("ALERT %s %s: %s%s", alert.subject_kind, alert.subject, alert.summary, when)
