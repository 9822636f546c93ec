"""A collector with everything around it: the ledger it holds, the socket it serves, and a clean end."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.output import scientific
from collector.main import Collector
from collector.quarantine import DirectoryQuarantine
from ledger.access import Holder
from ledger.ledger import Ledger
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from collector.quarantine import Quarantine
    from collector.sources.interface import Source
    from ledger.assess import Alert
    from ledger.place import Server

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
) -> Iterator[tuple[Collector, Ledger]]:
    """Hold the ledger in `data_dir` and serve it to other commands while collecting into it; with a `server` collect
    into the one there, beside others, of whom the one that `is_writer` writes the journal.

    Without a `quarantine` there is one in `data_dir`.
    """
    kept = quarantine or quarantine_in(data_dir)
    ledger = Ledger.open(server or data_dir, now_ns, is_writer)
    holder = None if server else Holder(ledger, data_dir)
    try:
        if holder is not None:
            holder.start()
        yield Collector(source, ledger, kept, notify, now_ns), ledger
    finally:
        source.close()
        if holder is not None:
            holder.stop()
        ledger.close()


def quarantine_in(data_dir: Path) -> DirectoryQuarantine:
    """The quarantine of a collector without Kafka."""
    return DirectoryQuarantine(data_dir / "quarantine")


def announce(alerts: Sequence[Alert]) -> None:
    """Say each alert in one line of the log."""
    for alert in alerts:
        when = "" if alert.expected_at_ns is None else f", expected {format_ns(alert.expected_at_ns)[:16]}Z"
        log.warning(
            "ALERT %s %d %% of %s by %s: %s of %s FLOP%s",
            alert.run_id,
            alert.percent,
            alert.threshold,
            alert.kind.replace("_", " "),
            scientific(alert.flop),
            scientific(alert.line_flop),
            when,
        )
