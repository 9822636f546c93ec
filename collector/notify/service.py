"""Delivery as part of a collector: the channels of the settings, and the threads that serve them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from collector.notify.channel_file import channels
from collector.notify.notifier import Notifier
from collector.notify.threads import NotifierThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cli.settings import Settings
    from collector.metrics import Metrics
    from ledger.ledger import Ledger


@contextmanager
def delivering(
    ledger: Ledger, settings: Settings | None, now_ns: Callable[[], int], metrics: Metrics
) -> Iterator[Callable[[], None]]:
    """Deliver alerts meanwhile; gives what to call when one was raised. Raises `Misconfigured` for a wrong file."""
    if settings is None or settings.channels is None:
        yield lambda: None
        return
    found = channels(settings.channels, source(settings), now_ns)
    notifier = Notifier(ledger, found, now_ns, ledger.is_writer, settings.runbook_url)
    metrics.watch_deliveries(notifier.lanes, now_ns)
    threads = NotifierThreads(notifier)
    threads.start()
    try:
        yield threads.poke
    finally:
        threads.stop()


def source(settings: Settings) -> str:
    """Who speaks, as a URI: receivers tell two ledgers apart by it."""
    return f"urn:flopledger:{quote(settings.cluster, safe='')}"
