"""What the ledger says, as gauges for whoever alerts by Prometheus. Floats, for alerting only: the exact numbers are in
the ledger. Read when somebody scrapes, at most every half minute, and only by the collector that writes the journal, so
that each value is there once. The number of series has a bound, and what is left out beyond it is a gauge as well.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ledger.catalogue_record import lines
from ledger.errors import LedgerError
from ledger.forecast import forecast_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from collector.metrics import Metrics
    from ledger.ledger import Ledger

log = logging.getLogger(__name__)

KEPT_FOR_S = 30.0
MOST_RUNS = 200
"""Runs with totals and crossings: those with the most compute."""
MOST_FRACTIONS = 1_000
"""Pairs of subject and line: those that are furthest along."""
_NS = 1_000_000_000
_TOTALS = (
    "SELECT run_id, basis, flop, flop_low, flop_high FROM run_totals ORDER BY flop_high DESC, run_id "
    "LIMIT {most:UInt32} WITH TIES"
)
_RUNS = "SELECT uniqExact(run_id) FROM run_totals"
_FRACTIONS = (
    "SELECT subject_kind, subject, basis, threshold, share, toFloat64(flop_high) / toFloat64(line_flop) AS high "
    "FROM threshold_status WHERE threshold IN {applying:Array(String)} AND line_flop > 0 "
    "ORDER BY high DESC, subject, threshold LIMIT {most:UInt32}"
)
_PAIRS = "SELECT count() FROM threshold_status WHERE threshold IN {applying:Array(String)} AND line_flop > 0"
_ACTIVE = "SELECT kind, state, count() FROM alerts GROUP BY kind, state"

Series = list[tuple[float, "Mapping[str, str]"]]


@dataclass(slots=True)
class Values:
    """One reading of all of them."""

    flop: Series = field(default_factory=list)
    flop_low: Series = field(default_factory=list)
    flop_high: Series = field(default_factory=list)
    fraction: Series = field(default_factory=list)
    fraction_high: Series = field(default_factory=list)
    crossing_s: Series = field(default_factory=list)
    alerts: Series = field(default_factory=list)
    left_out: Series = field(default_factory=list)


class LedgerGauges:
    """Values of one ledger, read anew when they are old. Thread-safe."""

    def __init__(
        self, ledger: Ledger, now_ns: Callable[[], int], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._values = Values()
        self._read_s: float | None = None

    def offer(self, metrics: Metrics) -> None:
        """Whenever somebody asks."""
        gauges = metrics.gauges
        gauges("flopledger.run.flop", "{FLOP}", lambda: self.values().flop)
        gauges("flopledger.run.flop.low", "{FLOP}", lambda: self.values().flop_low)
        gauges("flopledger.run.flop.high", "{FLOP}", lambda: self.values().flop_high)
        gauges("flopledger.run.crossing", "s", lambda: self.values().crossing_s)
        gauges("flopledger.subject.fraction", "1", lambda: self.values().fraction)
        gauges("flopledger.subject.fraction.high", "1", lambda: self.values().fraction_high)
        gauges("flopledger.alerts.active", "{alert}", lambda: self.values().alerts)
        gauges("flopledger.gauges.left.out", "1", lambda: self.values().left_out)

    def values(self) -> Values:
        """As they are, or were a moment ago; nothing where another collector writes the journal."""
        with self._lock:
            if not self._ledger.is_writer():
                self._values, self._read_s = Values(), None
            elif self._read_s is None or self._monotonic() - self._read_s > KEPT_FOR_S:
                try:
                    self._values = self._read()
                except LedgerError as error:
                    log.warning("the ledger's gauges cannot be read: %s", error)
                    self._values = Values()
                self._read_s = self._monotonic()
            return self._values

    def _read(self) -> Values:
        found = Values()
        runs = self._totals(found)
        self._fractions(found)
        self._crossings(found, runs)
        found.alerts = [
            (float(count), {"kind": kind, "state": state}) for kind, state, count in self._ledger.query(_ACTIVE).rows
        ]
        return found

    def _totals(self, found: Values) -> list[str]:
        # Both bases of a run may be among the first.
        rows = self._ledger.query(_TOTALS, {"most": 2 * MOST_RUNS}).rows
        runs = list(dict.fromkeys(row[0] for row in rows))[:MOST_RUNS]
        kept = set(runs)
        for run_id, basis, flop, low, high in rows:
            if run_id in kept:
                named = {"run": run_id, "basis": basis}
                if flop is not None:
                    found.flop.append((float(flop), named))
                found.flop_low.append((float(low), named))
                found.flop_high.append((float(high), named))
        ((count,),) = self._ledger.query(_RUNS).rows
        found.left_out.append((float(count - len(runs)), {"what": "runs"}))
        return runs

    def _applying(self) -> dict[str, int]:
        """Line → amount, FLOP, of those that apply today."""
        day = datetime.fromtimestamp(self._now_ns() // _NS, UTC).date()
        return {line.id: line.amount_flop for line in lines(self._ledger) if line.amount and line.applies_on(day)}

    def _fractions(self, found: Values) -> None:
        applying = list(self._applying())
        for kind, subject, basis, threshold, share, high in self._ledger.query(
            _FRACTIONS, {"applying": applying, "most": MOST_FRACTIONS}
        ).rows:
            named = {"subject_kind": kind, "subject": subject, "basis": basis, "threshold": threshold}
            if share is not None:
                found.fraction.append((float(share), named))
            found.fraction_high.append((float(high), named))
        ((count,),) = self._ledger.query(_PAIRS, {"applying": applying}).rows
        found.left_out.append((float(count - len(found.fraction_high)), {"what": "fractions"}))

    def _crossings(self, found: Values, runs: list[str]) -> None:
        now_ns = self._now_ns()
        applying = self._applying()
        for run_id, forecast in forecast_runs(self._ledger, runs, now_ns).items():
            for threshold, amount_flop in applying.items():
                if amount_flop <= forecast.flop:
                    continue
                crossing = forecast.crossing(amount_flop)
                for end, at_ns in (("early", crossing.early_at_ns), ("expected", crossing.expected_at_ns)):
                    if at_ns is not None:
                        seconds = max(0.0, (at_ns - now_ns) / _NS)
                        found.crossing_s.append((seconds, {"run": run_id, "threshold": threshold, "end": end}))
