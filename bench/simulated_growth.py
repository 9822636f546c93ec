"""Runs as they grow hour by hour, made up in two ways that have little in common, for `bench/forecast.py`.

`trained`   one job: ramp-up in steps or evenly, fleet changes, short and long interruptions, slow drift of the speed.
            The method's constants were chosen while looking at runs like these.
`shared`    held out: capacity of a shared or preemptible cluster that follows day, week and a wandering price, failures
            that come in clusters, stages with speeds of their own, breaks of people. Never looked at for tuning.

Every parameter is drawn anew for every run, and widely. Growth is in units of the first full pace: forecasts know no
scale. Numbers of interruptions are of the size of what was published (466 in 54 days of Llama 3.1 405B, arXiv
2407.21783; 35 restarts by hand and 70 automatic ones in two months of OPT-175B, arXiv 2205.01068), and go far beyond on
both sides.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from agent.devices.simulated.scenario_file import load_shipped, shipped
from agent.devices.simulated.timeline import timelines

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

HOUR_NS = 3_600_000_000_000


def trained(rng: random.Random) -> list[float]:
    """One job on a fleet of its own."""
    hours = int(_between(rng, 15, 160) * 24)
    fleet = _ramp(rng, hours)
    factor = 1.0
    change_rate = _between(rng, 1 / 200, 1 / 10) / 24
    change_size = _between(rng, 0.03, 0.6)
    shrinks = rng.random() * 0.7
    drift, drift_size = 0.0, _between(rng, 0.0005, 0.01)
    noise = _between(rng, 0.002, 0.08)
    short_rate, short_hours = _between(rng, 0.1, 12) / 24, _between(rng, 0.1, 0.7)
    stop_rate = _between(rng, 1 / 60, 1.0) / 24
    stop_middle, stop_spread = _between(rng, 1, 10), 0.5 + rng.random() * 1.2
    growth: list[float] = []
    down = 0.0
    for hour in range(hours):
        if rng.random() < change_rate:
            size = rng.expovariate(1 / change_size)
            factor *= math.exp(-size if rng.random() < shrinks else size)
            factor = min(max(factor, 0.1), 5)
        drift = 0.98 * drift + rng.gauss(0, drift_size)
        if down == 0 and rng.random() < stop_rate:
            down = min(stop_middle * math.exp(rng.gauss(0, stop_spread)), 15 * 24)
        lost = min(down, 1.0)
        down -= lost
        for _ in range(_poisson(rng, short_rate)):
            lost += rng.expovariate(1 / short_hours)
        pace = fleet[hour] * factor * math.exp(drift + rng.gauss(0, noise))
        growth.append(pace * max(1 - lost, 0.0))
    return growth


def shared(rng: random.Random) -> list[float]:
    """A job that gets what is left of a cluster, in stages, with people and bad days."""
    hours = int(_between(rng, 15, 160) * 24)
    stages = [_between(rng, 0.4, 2.0) for _ in range(1 + _poisson(rng, 1.5))]
    ends = sorted(rng.random() * hours for _ in stages[1:])
    daily, weekly = rng.random() * 0.3, rng.random() * 0.4
    wander, pull, shake = 0.0, _between(rng, 0.002, 0.1), _between(rng, 0.005, 0.08)
    base, excitement, calm = _between(rng, 1 / 40, 1 / 2) / 24, _between(rng, 0.05, 0.6), _between(rng, 2, 48)
    least, tail = _between(rng, 0.3, 4), 1.3 + rng.random() * 1.5
    break_rate, break_days = _between(rng, 1 / 300, 1 / 20) / 24, _between(rng, 0.5, 5)
    quantum = rng.choice((0.0, 0.0, 0.125, 0.25))
    heat = 0.0
    down = 0.0
    growth: list[float] = []
    for hour in range(hours):
        stage = sum(end <= hour for end in ends)
        wander += -pull * wander + rng.gauss(0, shake)
        capacity = math.exp(wander) * (1 - daily * (hour % 24 in range(8, 20))) * (1 - weekly * (hour // 24 % 7 < 5))
        if quantum:
            capacity = max(round(capacity / quantum), 0) * quantum
        heat *= math.exp(-1 / calm)
        if down == 0 and rng.random() < base + heat / calm:
            down = min(least * rng.paretovariate(tail), 20 * 24)
            heat += excitement
        if down == 0 and rng.random() < break_rate:
            down = break_days * 24 * (0.5 + rng.random())
        lost = min(down, 1.0)
        down -= lost
        growth.append(stages[stage] * capacity * (1 - lost) * math.exp(rng.gauss(0, 0.02)))
    return growth


FAMILIES: dict[str, Callable[[random.Random], list[float]]] = {"trained": trained, "shared": shared}


def recorded() -> dict[str, list[float]]:
    """The runs of the shipped scenarios that last for days, with their interruptions: devices at work, hour by hour."""
    found: dict[str, list[float]] = {}
    for name in shipped():
        scenario = load_shipped(name)
        alike = Counter(
            (phase.run.run_id, phase.start_ns, phase.end_ns)
            for timeline, devices in Counter(one for on_node in timelines(scenario) for one in on_node).items()
            for phase in timeline.phases * devices
            if phase.run is not None
        )
        for (run_id, start_ns, end_ns), devices in alike.items():
            _add(found.setdefault(run_id, []), start_ns - scenario.start_ns, end_ns - scenario.start_ns, devices)
    return {name: growth for name, growth in found.items() if len(growth) > 48}


def _add(growth: list[float], start_ns: int, end_ns: int, devices: int) -> None:
    last = -(-end_ns // HOUR_NS)
    growth.extend([0.0] * (last - len(growth)))
    for hour in range(start_ns // HOUR_NS, last):
        growth[hour] += devices * (min(end_ns, (hour + 1) * HOUR_NS) - max(start_ns, hour * HOUR_NS)) / HOUR_NS


def _ramp(rng: random.Random, hours: int) -> list[float]:
    """The fleet as a share of the full one, hour by hour."""
    kind = rng.random()
    if kind < 0.35:
        return [1.0] * hours
    start, length = 0.05 + rng.random() * 0.7, min(_between(rng, 1, 20) * 24, hours / 2)
    if kind < 0.6:
        return [min(start + (1 - start) * hour / length, 1.0) for hour in range(hours)]
    steps = rng.randint(1, 6)
    return [min(start + (1 - start) * int(hour * steps / length) / steps, 1.0) for hour in range(hours)]


def _between(rng: random.Random, low: float, high: float) -> float:
    """Log-uniform: as likely between 1 and 2 as between 10 and 20."""
    return low * math.exp(math.log(high / low) * rng.random())


def _poisson(rng: random.Random, mean: float) -> int:
    count, passed = 0, rng.expovariate(1)
    while passed < mean:
        count += 1
        passed += rng.expovariate(1)
    return count
