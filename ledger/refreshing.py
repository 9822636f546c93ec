"""Keeps what is computed ahead up with the evidence: in the holder of an embedded ledger, and on a server in the one of
its collectors that writes the journal.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ledger.errors import LedgerError
from ledger.rollups import Rollups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.store import Store

log = logging.getLogger(__name__)

EVERY_S = 30.0
SHARE = 20
"""A refresh is followed by this many times as long without one, so it takes a twentieth of one core at most."""


@contextmanager
def refreshing(
    open_store: Callable[[], Store],
    ours: Callable[[], bool] = lambda: True,
    every_s: float = EVERY_S,
    share: float = SHARE,
) -> Iterator[None]:
    """While the block runs, the tables computed ahead are brought up again and again, whenever it is `ours` to do.

    In a thread with a connection of its own, so nobody waits for it. A failure is said, and tried again.
    """
    stop = threading.Event()
    args = (open_store, ours, stop, every_s, share)
    thread = threading.Thread(target=_refresh, args=args, name="ledger-rollups", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _refresh(
    open_store: Callable[[], Store], ours: Callable[[], bool], stop: threading.Event, every_s: float, share: float
) -> None:
    pause_s = every_s
    store: Store | None = None
    trouble = ""
    while not stop.wait(pause_s):
        pause_s = every_s
        if not ours():
            continue
        began = time.monotonic()
        try:
            store = store or open_store()
            Rollups(store).refresh()
            trouble = ""
        except LedgerError as error:
            if str(error) != trouble:
                log.warning("the curves are not brought up: %s; trying again", error)
            trouble = str(error)
        pause_s = max(every_s, share * (time.monotonic() - began))
    if store is not None:
        store.close()
