"""How often the 90 % interval held the true date, and how far the expected date was off: forecasts of the past.

Every run is played up to a moment, forecast as the ledger does, and compared with what then came. The line lies at
between a tenth and the whole of what the run reaches in the end. Moments: 30, 14 and 7 days before the crossing where
the run was two days old by then, and one drawn at random between its second day and the crossing.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.simulated_growth import FAMILIES, HOUR_NS, recorded
from ledger.forecast.forecast import GROWING, forecast
from ledger.forecast.history import METHOD
from ledger.forecast.series import PAST_HOURS, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

RUNS_PER_FAMILY = 200
LEADS_DAYS = (30, 14, 7)
LEAST_AGE_HOURS = 48
SCALE = 10**22
"""FLOP per unit of growth: the size of a large run's hour."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One forecast: `ahead_days` is the truth, None for a lead time drawn at random."""

    lead_days: int | None
    ahead_days: float
    error_days: float | None
    held: bool
    before: bool
    width_days: float | None


def measure(runs: int = RUNS_PER_FAMILY) -> dict[str, Any]:
    """Families apart; the held-out one is what to look at."""
    began = time.process_time()
    outcomes = {
        family: [outcome for seed in range(runs) for outcome in _simulated(family, seed)] for family in FAMILIES
    }
    outcomes["recorded"] = [outcome for name, growth in recorded().items() for outcome in _played(name, growth, 20)]
    cpu_s = time.process_time() - began
    together = [outcome for family in FAMILIES for outcome in outcomes[family]]
    return {
        "method": METHOD,
        "runs": {**dict.fromkeys(FAMILIES, runs), "recorded": len(recorded())},
        "forecasts": sum(map(len, outcomes.values())),
        "held": {**{family: _held(found) for family, found in outcomes.items()}, "simulated": _held(together)},
        "held_by_lead": {family: _by_lead(found, _held) for family, found in outcomes.items()},
        "median_error_days": {family: _by_lead(found, _error) for family, found in outcomes.items()},
        "median_width_days": {family: _by_lead(found, _width) for family, found in outcomes.items()},
        "late_of_missed": {family: _late(found) for family, found in outcomes.items()},
        "cpu_ms_per_forecast": round(1000 * cpu_s / sum(map(len, outcomes.values())), 2),
        "targets": {"held": [0.85, 0.95]},
    }


def _simulated(family: str, seed: int) -> Iterator[Outcome]:
    return _played(f"{family}-{seed}", FAMILIES[family](random.Random(f"{family} {seed}")), 1)


def _played(name: str, growth: Sequence[float], at_random: int) -> Iterator[Outcome]:
    rng = random.Random(name)
    for _ in range(at_random):
        line = sum(growth) * (0.1 + 0.9 * rng.random())
        crossing = _reached(growth, line)
        moments: list[tuple[int | None, int]] = [(lead, int(crossing) - lead * 24) for lead in LEADS_DAYS]
        if crossing > LEAST_AGE_HOURS:
            moments.append((None, rng.randint(LEAST_AGE_HOURS, int(crossing))))
        for lead, hour in moments:
            if hour >= LEAST_AGE_HOURS:
                yield _outcome(name, growth[:hour], line, crossing - hour, lead)


def _reached(growth: Sequence[float], line: float) -> float:
    """Hours until the sum is there."""
    total = 0.0
    for hour, more in enumerate(growth):
        if total + more >= line and more > 0:
            return hour + (line - total) / more
        total += more
    return float(len(growth))


def _outcome(name: str, past: Sequence[float], line: float, ahead_hours: float, lead: int | None) -> Outcome:
    at_ns = len(past) * HOUR_NS
    growth = tuple(flop * SCALE for flop in past[-PAST_HOURS:])
    made = forecast(Series(name, "hardware", int(sum(past) * SCALE), at_ns, growth))
    crossing = made.crossing(int(line * SCALE))
    truth_ns = at_ns + int(ahead_hours * HOUR_NS)
    early, late, expected = (
        None if end is None else (end - truth_ns) / (24 * HOUR_NS)
        for end in (crossing.early_at_ns, crossing.late_at_ns, crossing.expected_at_ns)
    )
    return Outcome(
        lead,
        ahead_hours / 24,
        expected,
        made.state == GROWING and early is not None and early <= 0 and (late is None or late >= 0),
        early is None or early > 0,
        None if early is None or late is None else late - early,
    )


def _held(outcomes: Iterable[Outcome]) -> float | None:
    found = [outcome.held for outcome in outcomes]
    return round(sum(found) / len(found), 3) if found else None


def _error(outcomes: Iterable[Outcome]) -> float | None:
    """Of the days by which the expected date was off; a date beyond the horizon is off by more than any other."""
    found = [float("inf") if o.error_days is None else abs(o.error_days) for o in outcomes]
    return round(median(found), 2) if found else None


def _width(outcomes: Iterable[Outcome]) -> float | None:
    found = [float("inf") if o.width_days is None else o.width_days for o in outcomes]
    return round(median(found), 2) if found else None


def _late(outcomes: Iterable[Outcome]) -> float | None:
    """Of the dates outside, the share that came before the interval: those are the warnings that came too late."""
    found = [outcome.before for outcome in outcomes if not outcome.held]
    return round(sum(found) / len(found), 3) if found else None


def _by_lead(outcomes: Sequence[Outcome], of: Any) -> dict[str, float | None]:
    names = {**{str(lead): lead for lead in LEADS_DAYS}, "random": None}
    return {name: of([o for o in outcomes if o.lead_days == lead]) for name, lead in names.items()}
