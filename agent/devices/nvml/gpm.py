"""Method `gpm`: percentages of cycles between two samples, turned into cycles by the mean SM clock of the interval.

The counters are this process's own sums. An interval with any value missing is not observed at all: a part of a pipe's
work must not pass for all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.devices.counters import BOOTTIME_NS, BUSY_NS
from agent.devices.interface import Method
from agent.devices.nvml.errors import Code, code_of
from agent.devices.nvml.meter import Meter, Window
from agent.devices.nvml.samples import LONGEST_NS, SHORTEST_NS, active_cycles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.devices.nvml.clock import Span
    from agent.devices.nvml.cycles import GpmSource
    from agent.devices.nvml.host import Instant

SAMPLED = "clock-sampled"
_HIGHEST = 101.0
"""A percentage up to here is 100 and rounding; beyond it is garbage."""


class GpmMeter(Meter):
    """Counters that mean nothing to the next process."""

    method = Method.GPM
    resumable = False

    def __init__(self, source: GpmSource, now: Instant) -> None:
        super().__init__(now)
        self._source = source
        self._born_ns = now.unix_ns
        self.counters = dict.fromkeys(("sm", *source.utilisation.names), 0)
        # It stands still while nothing is observed, so that its growth is the time observed.
        self.counters[BOOTTIME_NS] = now.boot_ns

    @property
    def epoch(self) -> str:
        """Counters start with this object, and again when the device's own counters did."""
        return f"{self.method}:{self._born_ns}"

    def sample(self, clock: Callable[[], Instant]) -> Meter:
        """Count up to now. When exactly the sample was taken is not known of a call that took long."""
        source = self._source
        asked = clock()
        source.pair.advance()
        now = clock()
        span = source.clock.span(now, buffered=True)
        span_ns = now.boot_ns - self.at.boot_ns
        self.at = now
        if span_ns > LONGEST_NS or now.boot_ns - asked.boot_ns > SHORTEST_NS:
            self.window = Window(now.boot_ns, span, frozenset({"reseeded"}))
            return self
        percent = self._percentages(now)
        missing = [name for name, value in percent.items() if value is None or not 0 <= value <= _HIGHEST]
        if not percent or missing:
            flags = {f"metric-missing:{name}" for name in missing} or {"counters-restarted"}
            self.window = Window(now.boot_ns, span, frozenset(flags))
            return self
        values = [min(value or 0.0, 100.0) for value in percent.values()]
        if source.stuck(percent["tensor"], percent.get(BUSY_NS)):
            self.window = Window(now.boot_ns, span, frozenset({"counter-suspect"}))
            return self
        self._add(tuple(percent), values, span, span_ns)
        self.window = Window(now.boot_ns, span, frozenset({SAMPLED}))
        return source.calibrated(self, span, percent["tensor"], now)

    def _percentages(self, now: Instant) -> dict[str, float | None]:
        """By counter; empty when the two samples are from two lives of the device."""
        source = self._source
        try:
            values = source.utilisation.read(source.pair)
        except source.nvml.NVMLError as error:
            if code_of(error) != Code.INVALID_ARGUMENT:
                raise
            self._born_ns = now.unix_ns
            return {}
        return dict(zip(source.utilisation.names, values, strict=True))

    def _add(self, names: Sequence[str], percent: Sequence[float], span: Span, span_ns: int) -> None:
        counters, units = self.counters, self._source.units
        counters[BOOTTIME_NS] += span_ns
        counters["sm"] += active_cycles(100.0, units, span)
        for name, value in zip(names, percent, strict=True):
            if name == BUSY_NS:
                numerator, denominator = value.as_integer_ratio()
                counters[name] += numerator * span_ns // (100 * denominator)
            elif value:
                counters[name] += active_cycles(value, units, span)
