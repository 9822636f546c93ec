"""The book: what has been reported, as streams whose highest value is kept, and the growth not yet taken.

Every export is cumulative, so a lost one costs nothing and a repeated or late one adds nothing. `take` hands out the
growth together with the state after it; the agent stores both in one transaction. After a crash it restores that state,
and the next export of each stream brings exactly the growth that was not stored. Only what a process reports after the
last stored batch and never again, because it ended before the agent came back, is lost.

Streams end without saying so, hence silent ones are forgotten when there are many. A forgotten stream that came back
would count whole again, so the book keeps a horizon, the latest start of all it forgot, and refuses an unknown stream
that started no later: it may count too little then, and says so, but never double.
"""

from __future__ import annotations

import platform
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.reports.instruments import COMPUTE, TOKENS
from agent.reports.points import read_points
from agent.reports.refusal import Refusals, Refused, Tally
from agent.reports.state import pack, unpack
from agent.reports.streams import Fresh, Meter, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    from agent.reports.points import Point
    from agent.reports.source import ReportKey

KEPT_STREAMS = 1_000
"""Beyond these, silent ones are forgotten: the state is stored with every batch, at some 180 bytes per stream."""
MAX_STREAMS = 20_000
"""Beyond these, new ones are refused."""
FORGET_AFTER_NS = 24 * 3600 * 1_000_000_000
"""How long a stream must be silent before it may be forgotten. A live one is not: SDKs export idle counters too."""

MAX_TOTAL: Mapping[str, int] = {COMPUTE: 2**112, TOKENS: 2**56}
"""The most that one key may report while the agent lives, far below what a reading can hold: a loop that reports
nonsense must not make a batch that nobody can open."""


@dataclass(frozen=True, slots=True)
class Reported:
    """What was reported under `key` since the last `take`.

    `tokens` is None where no token counter was heard. `observed_ns` is time that compute counters newly cover.
    """

    key: ReportKey
    flop: int
    flop_low: int
    flop_high: int
    tokens: int | None
    observed_ns: int


class ReportBook:
    """Thread-safe. `node` names the host of reporters that do not say theirs: this one, unless told otherwise."""

    def __init__(
        self,
        node: str | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        kept_streams: int = KEPT_STREAMS,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self._node = node or platform.node()
        self._now_ns = now_ns
        self._kept_streams = kept_streams
        self._max_streams = max_streams
        self._lock = threading.Lock()
        self._horizon_ns = 0
        self._streams: dict[str, Stream] = {}
        self._meters: dict[ReportKey, Meter] = {}

    def accept(self, request: ExportMetricsServiceRequest) -> Refusals:
        """Count what is new in an export; returns which of our data points were refused and why."""
        tally = Tally()
        points = list(read_points(request, self._node, tally))
        with self._lock:
            now_ns = self._now_ns()
            heard: dict[ReportKey, Meter] = {}
            for point in points:
                try:
                    stream = self._count(point, now_ns)
                except Refused as refused:
                    tally.refuse(1, str(refused))
                else:
                    heard[stream.key] = self._meters[stream.key]
            for meter in heard.values():
                meter.settle()
        return tally.refusals()

    def take(self) -> tuple[list[Reported], dict[str, Any]]:
        """Everything new since the last take, and the state in which it is taken: store both together or neither."""
        with self._lock:
            taken = [_reported(key, meter.fresh) for key, meter in self._meters.items() if meter.fresh != Fresh()]
            for meter in self._meters.values():
                meter.fresh = Fresh()
            if len(self._streams) > self._kept_streams:
                self._forget(self._now_ns() - FORGET_AFTER_NS)
            return taken, pack(self._horizon_ns, self._meters)

    def state(self) -> dict[str, Any]:
        """All that the book knows, for `restore`; what was not taken yet is in it."""
        with self._lock:
            return pack(self._horizon_ns, self._meters)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the book that `state` was made of; raises ValueError when it is of another schema."""
        horizon_ns, meters = unpack(state)
        with self._lock:
            self._horizon_ns = horizon_ns
            self._meters = meters
            self._streams = {name: stream for meter in meters.values() for name, stream in meter.streams.items()}

    def _count(self, point: Point, now_ns: int) -> Stream:
        # A reporter whose clock runs ahead must not be credited with time that has not passed.
        at_ns = min(point.at_ns, now_ns)
        stream = self._streams.get(point.stream) or self._unknown(point)
        growth = stream.growth(point.amount, at_ns)
        meter = self._meters.get(stream.key) or Meter()
        total = meter.total.get(point.instrument, 0) + growth.high
        if total > MAX_TOTAL[point.instrument]:
            raise Refused(f"{point.instrument}: more than any training run can hold; is the unit right?")
        stream.advance(growth, at_ns, now_ns)
        meter.total[point.instrument] = total
        meter.fresh.add(point.instrument, growth)
        meter.streams[point.stream] = self._streams[point.stream] = stream
        self._meters[stream.key] = meter
        return stream

    def _unknown(self, point: Point) -> Stream:
        if point.start_ns <= self._horizon_ns:
            raise Refused(
                f"{point.instrument} started before streams that are forgotten: restart the process to report"
            )
        if len(self._streams) >= self._max_streams:
            raise Refused(f"{self._max_streams} streams are open; are data point attributes unbounded?")
        return Stream(point.key, point.instrument, point.start_ns, at_ns=0, heard_ns=0)

    def _forget(self, silent_since_ns: int) -> None:
        """Drop streams that started, and were last heard, before `silent_since_ns`. Nothing may be fresh."""
        silent = [
            name for name, stream in self._streams.items() if max(stream.heard_ns, stream.start_ns) < silent_since_ns
        ]
        touched: set[ReportKey] = set()
        for name in silent:
            stream = self._streams.pop(name)
            self._horizon_ns = max(self._horizon_ns, stream.start_ns)
            del self._meters[stream.key].streams[name]
            touched.add(stream.key)
        for key in touched:
            self._meters[key].cover()
            if not self._meters[key].streams:
                del self._meters[key]


def _reported(key: ReportKey, fresh: Fresh) -> Reported:
    low, flop, high = fresh.flop
    return Reported(key, flop, low, high, fresh.tokens, fresh.observed_ns)
