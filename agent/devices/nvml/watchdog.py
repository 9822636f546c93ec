"""NVML calls that may never return.

All calls run in one worker thread. One that does not return in time is abandoned together with its thread: the thread
cannot be killed, but nothing waits for it, and a new worker serves the others. What hung is left alone until the
abandoned thread comes back by itself.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar, cast

from agent.errors import SkipDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

LIMIT_S = 5.0
"""How long one job may take."""


class _Worker:
    """A thread that does rounds of jobs. `done` are the outcomes of the round in progress, in order."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self._rounds: SimpleQueue[Sequence[Callable[[], object]]] = SimpleQueue()
        self._finished: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.Lock()
        self._abandoned_after: int | None = None
        threading.Thread(target=self._run, name="nvml", daemon=True).start()

    @property
    def came_back(self) -> bool:
        """Whether the job that this worker was abandoned for has returned after all."""
        return self._abandoned_after is not None and len(self.done) > self._abandoned_after

    def start(self, jobs: Sequence[Callable[[], object]]) -> None:
        self.done = []
        self._rounds.put(jobs)

    def finished(self, timeout_s: float) -> bool:
        try:
            self._finished.get(timeout=timeout_s)
        except Empty:
            return False
        return True

    def abandon(self, after: int) -> bool:
        """Give up, unless the job behind the first `after` ones returned in this very moment."""
        with self._lock:
            if len(self.done) > after:
                return False
            self._abandoned_after = after
            return True

    def stop(self) -> None:
        self._rounds.put(())

    def _run(self) -> None:
        while jobs := self._rounds.get():
            for job in jobs:
                try:
                    outcome = job()
                except Exception as error:  # the caller knows what to do with each kind
                    outcome = error
                with self._lock:
                    self.done.append(outcome)
                    if self._abandoned_after is not None:
                        return
            self._finished.put(None)


class Watchdog:
    """Does jobs in a worker thread and lets none of them stop the agent."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._worker: _Worker | None = None
        self._stuck: dict[str, _Worker] = {}

    def hangs(self, name: str) -> bool:
        """Whether an earlier job of this name still has not returned."""
        worker = self._stuck.get(name)
        if worker is not None and worker.came_back:
            del self._stuck[name]
            return False
        return worker is not None

    def run(self, name: str, job: Callable[[], T]) -> T:
        """The result of `job`; raises what it raises, and SkipDevice when it does not return in time."""
        outcome = self.run_all({name: job})[name]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def run_all(self, jobs: dict[str, Callable[[], T]]) -> dict[str, T | Exception]:
        """The outcome of each job by name, a result or what it raised, for one hand-over to the worker."""
        outcomes: dict[str, T | Exception] = {}
        waiting = []
        for name in jobs:
            if self._stuck and self.hangs(name):
                outcomes[name] = SkipDevice(name, f"an NVML call has not returned for more than {self._limit_s:g} s")
            else:
                waiting.append(name)
        while waiting:
            worker = self._worker = self._worker or _Worker()
            worker.start([jobs[name] for name in waiting])
            finished = self._wait(worker)
            done = cast("list[T | Exception]", worker.done)
            outcomes.update(zip(waiting, done, strict=False))
            if finished:
                break
            name = waiting[len(done)]
            outcomes[name] = SkipDevice(name, f"an NVML call did not return in {self._limit_s:g} s")
            self._stuck[name] = worker
            self._worker = None
            waiting = waiting[len(done) + 1 :]
        return outcomes

    def _wait(self, worker: _Worker) -> bool:
        """True when the round is over; False when one job of it took too long and the worker was abandoned."""
        seen = 0
        while not worker.finished(self._limit_s):
            if worker.abandon(seen):
                return False
            seen = len(worker.done)
        return True

    def close(self) -> None:
        """Let the worker end. A stuck one ends with the process."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
