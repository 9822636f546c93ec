"""What the collector counts of itself, by OpenTelemetry: added up per round, never per reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, NoOpMeter, Observation

from wire.plausible import exclusion_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import Counter, Histogram, Meter

    from collector.metric_names import MetricName
    from collector.notify.lane import Lane
    from collector.quarantine import QuarantineClass
    from ledger.evidence import Evidence

INSERT_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The instruments of one collector. Without a `meter` they lead nowhere."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter or NoOpMeter("flopledger.collector")
        self._messages = self._counter("flopledger.collector.messages", "{message}")
        self._batches = self._counter("flopledger.collector.batches", "{batch}")
        self._readings = self._counter("flopledger.collector.readings", "{reading}")
        self._quarantined = self._counter("flopledger.collector.quarantined", "{message}")
        self._excluded = self._counter("flopledger.collector.excluded", "{batch}")
        self._retries = self._counter("flopledger.collector.retries", "{try}")
        self._assessments = self._counter("flopledger.collector.assessments", "{assessment}")
        self._insert_s = self._histogram("flopledger.collector.insert.duration", "s")

    def committed(self, messages: int, recorded: Sequence[Evidence]) -> None:
        """A round is done with: so many messages, and these batches of them are evidence."""
        self._messages.add(messages)
        self._batches.add(len(recorded))
        self._readings.add(sum(len(item.batch.readings) for item in recorded))
        for item in recorded:
            if item.excluded_reason is not None:
                self._excluded.add(1, {"reason": exclusion_kind(item.excluded_reason)})

    def quarantined(self, reason: QuarantineClass) -> None:
        """A message went into the quarantine."""
        self._quarantined.add(1, {"reason": reason})

    def inserted(self, seconds: float) -> None:
        """Recording a round took so long."""
        self._insert_s.record(seconds)

    def retried(self) -> None:
        """Something was away."""
        self._retries.add(1)

    def assessed(self) -> None:
        """Every run was held against every line."""
        self._assessments.add(1)

    def gauge(self, name: MetricName, unit: str, read: Callable[[], float | None]) -> None:
        """A value that is read when somebody asks; None is no value."""

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            del options
            value = read()
            return [] if value is None else [Observation(value)]

        self._meter.create_observable_gauge(name, [observe], unit=unit)

    def gauges(
        self, name: MetricName, unit: str, read: Callable[[], Iterable[tuple[float, Mapping[str, str]]]]
    ) -> None:
        """Values that are read when somebody asks, each with its attributes."""

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            del options
            return [Observation(value, attributes) for value, attributes in read()]

        self._meter.create_observable_gauge(name, [observe], unit=unit)

    def watch_deliveries(self, lanes: Sequence[Lane], now_ns: Callable[[], int]) -> None:
        """Offer how each channel does, whenever somebody asks."""
        named = [({"channel": lane.channel.name}, lane) for lane in lanes]
        self.gauges(
            "flopledger.collector.deliveries.pending",
            "{message}",
            lambda: [(lane.standing().pending, a) for a, lane in named],
        )
        self.gauges(
            "flopledger.collector.deliveries.failing",
            "{alert}",
            lambda: [(lane.standing().failing, a) for a, lane in named],
        )

        def ages() -> Iterable[tuple[float, Mapping[str, str]]]:
            for attributes, lane in named:
                oldest_ns = lane.standing().oldest_ns
                yield 0.0 if oldest_ns is None else max(0.0, (now_ns() - oldest_ns) / 1e9), attributes

        self.gauges("flopledger.collector.deliveries.age", "s", ages)

    def _counter(self, name: MetricName, unit: str) -> Counter:
        return self._meter.create_counter(name, unit=unit)

    def _histogram(self, name: MetricName, unit: str) -> Histogram:
        return self._meter.create_histogram(name, unit=unit, explicit_bucket_boundaries_advisory=INSERT_BUCKETS_S)
