"""Looks at the ledger every few seconds, once for all viewers, and tells them when there is something new.

A look first asks whether anything was added; only then everything is gathered. However large the ledger is, gathering
takes a bounded share of the time: the longer it takes, the longer the pause after it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ledger.errors import LedgerError
from ledger.reader import Reader

log = logging.getLogger(__name__)

ADDED = """
SELECT (SELECT count() FROM batches), (SELECT count() FROM journal), (SELECT count() FROM run_curve)
"""
SHARE = 4
"""A look with somebody watching is followed by this many times as long without one, and with nobody by more."""
SHARE_UNWATCHED = 20
STALE_NS = 60 * 10**9
"""Time alone changes things too: an agent falls silent, a date comes nearer."""

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Trouble:
    """The ledger does not answer: since when (Unix ns), and what it said."""

    since_ns: int
    says: str


@dataclass(frozen=True, slots=True)
class View(Generic[S]):
    """What was found at the last look that went well, and what is wrong since. `version` grows with every change."""

    version: int
    found: S | None
    at_ns: int
    trouble: Trouble | None


class Watch(Generic[S]):
    """Keeps one `View` up to date from a thread of its own. Thread-safe."""

    def __init__(self, reader: Reader, gather: Callable[[], S], now_ns: Callable[[], int], every_s: float) -> None:
        self._reader = reader
        self._gather = gather
        self._now_ns = now_ns
        self._every_s = every_s
        self._view: View[S] = View(0, None, 0, None)
        self._added: object = None
        self._looking = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page-watch", daemon=True)
        self._bells: set[_Bell] = set()
        self._bells_lock = threading.Lock()

    @property
    def view(self) -> View[S]:
        """The latest; looks first where nobody has looked yet."""
        if self._view.version == 0:
            with self._looking:
                if self._view.version == 0:
                    self._look()
        return self._view

    def version(self) -> int:
        """Of the view: what was asked under another one may be old."""
        return self.view.version

    @property
    def viewers(self) -> int:
        """How many wait for news."""
        return len(self._bells)

    def start(self) -> None:
        """Look from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and let go of everybody who waits."""
        self._stop.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    @property
    def stopped(self) -> bool:
        """Nothing new will come."""
        return self._stop.is_set()

    def step(self) -> None:
        """One look."""
        with self._looking:
            before = self._view.version
            self._look()
        if self._view.version != before:
            self._ring()

    async def after(self, version: int, patience_s: float) -> View[S]:
        """The view once it is another than `version`, or as it is when patience is at its end."""
        bell = _Bell(asyncio.get_running_loop())
        with self._bells_lock:
            self._bells.add(bell)
        try:
            if self._view.version == version and not self.stopped:
                await bell.wait(patience_s)
        finally:
            with self._bells_lock:
                self._bells.discard(bell)
        return self._view

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self.step()
            took_s = time.monotonic() - began
            share = SHARE if self.viewers else SHARE_UNWATCHED
            self._stop.wait(max(self._every_s, share * took_s))

    def _look(self) -> None:
        now_ns = self._now_ns()
        view = self._view
        try:
            added = tuple(self._reader.query(ADDED).rows[0])
            if view.trouble is None and added == self._added and now_ns - view.at_ns < STALE_NS:
                return
            found = self._gather()
        except LedgerError as error:
            self._in_trouble(str(error), now_ns)
        except Exception as error:  # our own mistake: said in the log, and to viewers that there is one
            log.exception("the page could not be brought up to date")
            self._in_trouble(f"{type(error).__name__}, which is our own mistake; the log has all of it", now_ns)
        else:
            if view.trouble is not None:
                log.info("the page reads the ledger again")
            self._added = added
            self._view = View(view.version + 1, found, now_ns, None)

    def _in_trouble(self, says: str, now_ns: int) -> None:
        view = self._view
        if view.trouble is not None and view.trouble.says == says:
            return
        log.warning("the page cannot read the ledger: %s", says)
        since_ns = now_ns if view.trouble is None else view.trouble.since_ns
        self._view = View(view.version + 1, view.found, view.at_ns, Trouble(since_ns, says))

    def _ring(self) -> None:
        with self._bells_lock:
            bells = list(self._bells)
        for bell in bells:
            bell.ring()


class _Bell:
    """Wakes one coroutine from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def ring(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # its loop has ended, and whoever waited with it
            return

    async def wait(self, patience_s: float) -> None:
        try:
            await asyncio.wait_for(self._event.wait(), patience_s)
        except TimeoutError:
            return
