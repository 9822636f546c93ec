"""Method `gpm-cycles`: the hardware's own cycle counters since reset. No clock has to be sampled.

What the counters are counts of is documented nowhere, so they are calibrated on the device itself: elapsed cycles
against the clock say whether they are per SM or summed over SMs, and tensor cycles against the percentage of the very
same pair of samples say whether both are normalised alike. That second check is repeated at every tick; the first time
it fails, the counters are refused and `gpm` takes over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import sqrt
from operator import lt
from typing import TYPE_CHECKING, Any, cast

from agent.devices.counters import BOOTTIME_NS, BUSY_NS
from agent.devices.interface import Method
from agent.devices.nvml.errors import Code, code_of
from agent.devices.nvml.gpm import GpmMeter
from agent.devices.nvml.meter import Meter, Window
from agent.devices.nvml.samples import LONGEST_NS, Metrics, Pair
from agent.errors import SkipDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.devices.nvml.clock import SmClock, Span
    from agent.devices.nvml.host import Instant

TOLERANCE = 1.0
"""Percentage points between tensor cycles over elapsed cycles and the driver's own percentage."""
LOADED = 5.0
"""Percentage of tensor activity from which the comparison says something."""
_STILL = 0.05
"""Elapsed cycles over clock × time, below which the counters stand still."""
_ONE_INTERVAL = 2.0
"""Up to this many intervals' worth, counters may be the interval's own."""
_ATTEMPTS = 20
_VERIFIED: frozenset[str] = frozenset()
_UNVERIFIED = frozenset({"unverified"})


@dataclass(slots=True)
class Calibration:
    """What is known about a device's cycle counters. `scale` makes them sums over SMs; None: not settled.

    `refused` says why they are not used, `verified` whether the comparison was passed under load, `moving` whether they
    grew lately.
    """

    units: int
    scale: int | None = None
    refused: str = ""
    verified: bool = False
    pending: str = "not calibrated yet"
    moving: bool = False
    _elapsed: int = 0
    _tensor: int = 0
    _interval: int = -1
    _attempts: int = 0

    def feed(self, raw: Sequence[int], interval: int, span: Span, tensor_percent: float | None) -> None:
        """Learn from elapsed and tensor cycles at the newer sample, the clock and the percentage since the older one.

        `interval` numbers the pair: what was not read at the sample before does not compare with the percentage.
        """
        elapsed, tensor = raw[0], raw[1]
        grown, grown_tensor = elapsed - self._elapsed, tensor - self._tensor
        joined = interval == self._interval + 1
        self._elapsed, self._tensor, self._interval = elapsed, tensor, interval
        if not joined or self.refused or grown < 0 or grown_tensor < 0:
            return
        if grown and tensor_percent is not None:
            self._compare(100.0 * grown_tensor / grown, tensor_percent)
        per_sm = span.double_area / 2_000
        if self.scale is None and not self.refused and per_sm:
            self._settle(grown / per_sm, elapsed / per_sm)

    def _compare(self, measured: float, reported: float) -> None:
        off = abs(measured - reported)
        if off > TOLERANCE:
            self.refused = (
                f"tensor over elapsed cycles is {measured:.2f} %, the driver's own percentage {reported:.2f} %: "
                "the counters are not what they seem, so gpm is used"
            )
            self.scale = None
        elif reported >= LOADED:
            self.verified = True

    def _settle(self, ratio: float, age: float) -> None:
        """`ratio` is what was added and `age` what is there, as multiples of one SM's cycles in the interval."""
        # Between two polls the clock may have been several times higher or lower, and GPM's refresh shifts a short
        # interval; one SM and all SMs lie further apart than that, and what is between the two is looked at again.
        reach = max(sqrt(self.units) / 2, 1.0)
        self.moving = ratio >= _STILL
        if not self.moving:
            self.pending = "the counters stand still: looked at again at every tick, until the GPU is busy"
        elif any(1 / _ONE_INTERVAL <= whole <= _ONE_INTERVAL for whole in (age, age / self.units)):
            # Counters that start anew with every sample always look like this, counters since reset only for a while.
            self.pending = "the counters hold no more than one interval's cycles: looked at again at every tick"
        elif 1 / reach <= ratio <= reach:
            self.scale = self.units
        elif 1 / reach <= ratio / self.units <= reach:
            self.scale = 1
        else:
            self._attempts += 1
            self.pending = f"elapsed cycles are {ratio:.2f} times clock × time: neither one SM's nor all {self.units}'s"
            if self._attempts >= _ATTEMPTS:
                self.refused = self.pending


@dataclass(slots=True)
class GpmSource:
    """One device's GPM: what `gpm` and `gpm-cycles` both read, so that either can take over from the other.

    `comparison` are the percentages of tensor activity and of busy time, in this order; `joint` are these and then the
    counters in one request, where the driver answers both together. `suspicious` says whether the
    driver reports a busy GPU; it is asked only when GPM sees none. `generation` counts the restarts that were noticed.
    """

    device: str
    nvml: Any
    pair: Pair
    clock: SmClock
    units: int
    utilisation: Metrics
    comparison: Metrics
    counters: Metrics | None
    suspicious: Callable[[], bool]
    joint: Metrics | None = None
    calibration: Calibration = field(init=False)
    generation: int = 0

    def __post_init__(self) -> None:
        self.calibration = Calibration(self.units)

    def stuck(self, tensor_percent: float | None, busy_percent: float | None) -> bool:
        """Whether the counters stopped counting: a busy GPU on which nothing at all seems to happen (after Xid 31)."""
        return tensor_percent == 0 and busy_percent == 0 and self.suspicious()

    def read_counters(self) -> list[int]:
        """Raw counters at the newer sample: elapsed cycles, tensor cycles, and whatever else this device counts."""
        assert self.counters is not None
        return self._whole(self._read(self.counters))

    def read_both(self) -> tuple[list[int], float | None, float | None]:
        """The raw counters, and tensor activity and busy time in percent since the sample before."""
        if self.joint is None:
            raw = self.read_counters()
            tensor, busy = self.comparison.read(self.pair)
        else:
            tensor, busy, *values = self._read(self.joint)
            raw = self._whole(values)
        return raw, tensor, busy

    def _read(self, metrics: Metrics) -> list[float | None]:
        try:
            return metrics.read(self.pair)
        except self.nvml.NVMLError as error:
            if code_of(error) != Code.INVALID_ARGUMENT:
                raise
            raise SkipDevice(self.device, "two samples that do not compare: it was reset between them") from error

    def _whole(self, values: list[float | None]) -> list[int]:
        if None in values:
            raise SkipDevice(self.device, "a cycle counter gives no number; the next reading covers this time too")
        return list(map(int, cast("list[float]", values)))

    def calibrated(self, meter: Meter, span: Span, tensor_percent: float | None, now: Instant) -> Meter:
        """`meter`, or one on the cycle counters as soon as these are settled."""
        calibration = self.calibration
        if self.counters is None or calibration.refused:
            return meter
        raw = self.read_counters()
        calibration.feed(raw, self.pair.taken, span, tensor_percent)
        return meter if calibration.scale is None else CycleMeter(self, now, raw)


class CycleMeter(Meter):
    """Counters that outlive this process, and the driver's clients, until the device is reset."""

    method = Method.GPM_CYCLES
    resumable = True

    def __init__(self, source: GpmSource, now: Instant, raw: list[int]) -> None:
        super().__init__(now)
        self._source = source
        # Busy time is not among the hardware's counters. Starting from time since boot, of which it can only be a
        # part, it never seems to go back from one process to the next.
        self._busy_ns = now.boot_ns
        self._epoch = self._named()
        self._reading(now, raw)

    @property
    def epoch(self) -> str:
        """The hardware's own, for as long as the counters mean the same and were not seen to restart."""
        return self._epoch

    def _named(self) -> str:
        scale = "summed" if self._source.calibration.scale == 1 else "per-sm"
        return f"{self.method}:{scale}:{self._source.generation}"

    def sample(self, clock: Callable[[], Instant]) -> Meter:
        """Read the counters now."""
        source, calibration = self._source, self._source.calibration
        source.pair.advance()
        now = clock()
        span_ns = now.boot_ns - self.at.boot_ns
        (raw, tensor, busy), before = source.read_both(), self._raw
        span = source.clock.span(now)
        if span_ns <= LONGEST_NS:
            calibration.feed(raw, source.pair.taken, span, tensor)
            if calibration.refused:
                return GpmMeter(source, now)
            if busy is not None and 0 <= busy <= 100:
                self._busy_ns += round(busy * 1_000) * span_ns // 100_000
        flags = _VERIFIED if calibration.verified else _UNVERIFIED
        if any(map(lt, raw, before)):
            source.generation += 1
            self._epoch = self._named()
            flags |= {"counters-restarted"}
        elif raw[0] == before[0] and source.suspicious():
            flags |= {"counter-suspect"}
        self._reading(now, raw)
        self.window = Window(now.boot_ns, span, flags)
        return self

    def _reading(self, now: Instant, raw: list[int]) -> None:
        assert self._source.counters is not None
        scale = self._source.calibration.scale or 1
        self._raw = raw
        summed = raw if scale == 1 else [value * scale for value in raw]
        counters = dict(zip(self._source.counters.names, summed, strict=True))
        counters[BOOTTIME_NS] = now.boot_ns
        counters[BUSY_NS] = self._busy_ns
        self.counters = counters
        self.at = now
