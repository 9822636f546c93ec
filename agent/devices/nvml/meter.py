"""What every way of counting has in common: counters up to an instant, and the meter to go on with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import Method
    from agent.devices.nvml.clock import Span
    from agent.devices.nvml.host import Instant


class Window(NamedTuple):
    """One sampled interval: when it ended (time since boot), the clock over it, what an auditor should know of it."""

    until_boot_ns: int
    span: Span | None
    flags: frozenset[str] = frozenset()


class Meter(ABC):
    """Counts one device by one method. `counters` hold for the instant `at`; `window` is the last interval."""

    method: Method
    resumable: bool

    def __init__(self, now: Instant) -> None:
        self.at = now
        self.counters: dict[str, int] = {}
        self.window = Window(now.boot_ns, None)

    @property
    @abstractmethod
    def epoch(self) -> str:
        """Changes when the counters start anew."""

    @abstractmethod
    def sample(self, clock: Callable[[], Instant]) -> Meter:
        """Count up to now. Returns the meter to go on with: itself, or another one for a better or safer method."""
