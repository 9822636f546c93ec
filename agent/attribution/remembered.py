"""Answers that hold for as long as a process lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import ProcessKey

T = TypeVar("T")

MAX_REMEMBERED = 4_096


class Remembered(Generic[T]):
    """`ask` once per process: its environment and its cgroup do not change, and cost a look into `/proc` each."""

    def __init__(self, ask: Callable[[ProcessKey], T]) -> None:
        self._ask = ask
        self._known: dict[ProcessKey, T] = {}

    def __call__(self, process: ProcessKey) -> T:
        """The answer, from memory where there is one."""
        if process not in self._known:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[process] = self._ask(process)
        return self._known[process]
