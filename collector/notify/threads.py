"""The threads around a notifier: one that looks, and one for each channel, so that none waits for another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from collector.notify.notifier import LOOK_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.notify.notifier import Notifier

log = logging.getLogger(__name__)

END_S = 5.0
"""How long the end waits for calls under way; what is not accepted then is there for the next start."""


class NotifierThreads:
    """Delivers from threads of its own until stopped."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._stopping = threading.Event()
        self._poked = threading.Event()
        self._threads = [threading.Thread(target=self._looking, name="notify", daemon=True)]
        for lane in notifier.lanes:
            work = self._sending(lane.step, lane.wake)
            self._threads.append(threading.Thread(target=work, name=f"notify {lane.channel.name}", daemon=True))

    def start(self) -> None:
        """Deliver from now on."""
        for thread in self._threads:
            thread.start()

    def poke(self) -> None:
        """Something was raised a moment ago."""
        self._poked.set()

    def stop(self) -> None:
        """Look once more, finish what is being sent, and end."""
        self._stopping.set()
        self.poke()
        self._threads[0].join(END_S)
        for lane in self._notifier.lanes:
            lane.wake.set()
        for thread in self._threads[1:]:
            thread.join(END_S)

    def _looking(self) -> None:
        last = False
        while not last:
            last = self._stopping.is_set()
            _guarded(self._notifier.look)
            if not last:
                self._poked.wait(LOOK_EVERY_S)
                self._poked.clear()

    def _sending(self, step: Callable[[], float | None], wake: threading.Event) -> Callable[[], None]:
        def work() -> None:
            while True:
                last = self._stopping.is_set()
                wake.clear()
                wait_s = _guarded(step)
                if last:
                    return
                wake.wait(wait_s)

        return work


def _guarded(work: Callable[[], float | None]) -> float | None:
    """A mistake of ours is said, and must not end delivery."""
    try:
        return work()
    except Exception:
        log.exception("our own mistake while delivering alerts; going on")
        return LOOK_EVERY_S
