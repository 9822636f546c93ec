"""Verifications that people start from the page: one at a time, each in a thread of its own, and the last few kept.

They only read. What was found is gone with the process: `flopledger ledger verify` is for keeps.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ledger.errors import LedgerError, Refused
from ledger.proof.verify import Report, verify
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from ledger.access import Access
    from ledger.proof.checkpoint import Checkpoint

log = logging.getLogger(__name__)

KEPT = 10
State = Literal["running", "in order", "not in order", "stopped", "failed"]


class _Stopped(Exception):
    """Somebody asked it to end."""


@dataclass(slots=True)
class Verification:
    """One of them, as it goes: `share` of the batches that were read, from 0 to 1."""

    number: int
    by: str
    began_ns: int
    against: int | None
    """The journal entry of the checkpoint that it is held against, which somebody brought."""
    share: float = 0.0
    ended_ns: int | None = None
    report: Report | None = None
    trouble: str | None = None
    stopping: bool = False

    @property
    def state(self) -> State:
        """In a word."""
        if self.ended_ns is None:
            return "running"
        if self.trouble is not None:
            return "failed"
        if self.report is None:
            return "stopped"
        return "in order" if self.report.ok else "not in order"

    def row(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "number": self.number,
            "state": self.state,
            "by": self.by,
            "began_at": format_ns(self.began_ns),
            "ended_at": None if self.ended_ns is None else format_ns(self.ended_ns),
            "against_checkpoint": self.against,
            "share": round(self.share, 4),
            "trouble": self.trouble,
            "ok": None if self.report is None else self.report.ok,
            "findings": [] if self.report is None else [finding.row() for finding in self.report.findings],
            "read": None if self.report is None else self.report.counts(),
        }


class Verifications:
    """Starts, follows and stops them. Thread-safe."""

    def __init__(self, access: Access, now_ns: Callable[[], int]) -> None:
        self._access = access
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._all: OrderedDict[int, Verification] = OrderedDict()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, by: str, expect: Checkpoint | None = None) -> Verification:
        """A new one; raises `Refused` while another one runs."""
        with self._lock:
            last = next(reversed(self._all.values()), None)
            if last is not None and last.ended_ns is None:
                raise Refused(f"verification {last.number} is still running, for {last.by}: wait for it, or stop it")
            number = 1 if last is None else last.number + 1
            made = Verification(number, by, self._now_ns(), None if expect is None else expect.entry_index)
            self._all[number] = made
            while len(self._all) > KEPT:
                self._all.popitem(last=False)
            self._thread = threading.Thread(
                target=self._run, args=(made, expect), name=f"verification-{number}", daemon=True
            )
            self._thread.start()
        return made

    def stop(self, number: int) -> None:
        """Have it end after the page of evidence that it reads now."""
        found = self.get(number)
        if found is not None:
            found.stopping = True

    def get(self, number: int) -> Verification | None:
        """One of the last few."""
        return self._all.get(number)

    def latest(self) -> list[Verification]:
        """The last few, the newest first."""
        with self._lock:
            return list(reversed(self._all.values()))

    def close(self) -> None:
        """Stop what runs."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _run(self, made: Verification, expect: Checkpoint | None) -> None:
        def progress(share: float) -> None:
            made.share = share
            if made.stopping or self._ending.is_set():
                raise _Stopped

        try:
            # Half of the cores: whoever counts goes on meanwhile.
            cores = max(1, len(os.sched_getaffinity(0)) // 2)
            made.report = verify(self._access, self._now_ns, self._ending.wait, expect, progress, cores)
        except _Stopped:
            pass
        except LedgerError as error:
            made.trouble = str(error)
        except Exception:
            log.exception("verification %d failed", made.number)
            made.trouble = "a mistake of our own: the server's log has the details"
        finally:
            made.ended_ns = self._now_ns()
