"""Each question is asked once for all viewers: who comes second waits for the first, and gets the same answer."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
KEPT = 256
"""Answers that are remembered, the last used ones: memory stays flat whatever is asked."""


@dataclass(slots=True)
class _Answer:
    version: int = -1
    value: Any = None
    asking: threading.Lock = field(default_factory=threading.Lock)


class Answers:
    """Answers that hold for one version of the ledger. Thread-safe."""

    def __init__(self, version: Callable[[], int], kept: int = KEPT) -> None:
        self._version = version
        self._kept = kept
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, ask: Callable[[], T]) -> T:
        """The answer to `key`, from `ask` if nobody has asked since the ledger changed; an error is not kept."""
        with self._lock:
            answer = self._answers.setdefault(key, _Answer())
            self._answers.move_to_end(key)
            while len(self._answers) > self._kept:
                self._answers.popitem(last=False)
        with answer.asking:
            version = self._version()
            if answer.version != version:
                answer.value = ask()
                answer.version = version
            found: T = answer.value
        return found
