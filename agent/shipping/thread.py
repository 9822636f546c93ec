"""Shipping beside the sampling: a thread of its own, so that no broker ever holds up a sample."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from agent.errors import Fatal
from agent.shipping.shipper import Shipper

if TYPE_CHECKING:
    from agent.shipping.interface import Transport
    from agent.shipping.shipper import Store

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""How often an empty outbox is looked at again when nobody said that there is something in it."""
FATAL_WAIT_S = 300.0
"""Until we try again what somebody has to put right first: a password, a certificate, a right."""
FINISH_S = 5.0
BREAK_OFF_S = 2.0


class ShippingThread:
    """Empties `store` into `transport`, and closes `transport` in the end."""

    def __init__(self, store: Store, transport: Transport, fatal_wait_s: float = FATAL_WAIT_S) -> None:
        self._transport = transport
        self._fatal_wait_s = fatal_wait_s
        self._stopping = threading.Event()
        self._stored = threading.Event()
        self._rng = random.Random()
        self._shipper = Shipper(store, transport, monotonic=time.monotonic, wait=self._stopping.wait, rng=self._rng)
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stored(self) -> None:
        """There is something to ship."""
        self._stored.set()

    def outage_s(self) -> float:
        """For how long nothing could be shipped; 0 while all is well."""
        return self._shipper.outage_s

    def finish(self, patience_s: float = FINISH_S) -> None:
        """Ship what is stored now, as far as that works within a few seconds; the rest stays for the next agent."""
        ends_s = time.monotonic() + patience_s
        self._stopping.set()
        self._stored.set()
        self._thread.join(patience_s)
        if not self._thread.is_alive():
            while time.monotonic() < ends_s and self._step():
                pass
        self._transport.close()
        # One that still waits for a broker hears from its transport now that nothing will come.
        self._thread.join(BREAK_OFF_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._stored.clear()
            if not self._step():
                self._stored.wait(IDLE_S)

    def _step(self) -> int:
        try:
            return self._shipper.step()
        except Fatal:
            # The shipper has said why. To stop here would be to stop counting, or to ship nothing once it is put right.
            self._wait_long()
        except Exception:
            # Our own mistake, or the connection was closed under this thread by `finish`.
            if not self._stopping.is_set():
                log.exception("counting goes on, but shipping fails in a way that nobody foresaw: please report this")
            self._wait_long()
        return 0

    def _wait_long(self) -> None:
        self._stopping.wait(self._fatal_wait_s * self._rng.uniform(0.5, 1.0))
