"""Putting what happened onto meters: a delta by its shares, a gap by its bounds, a report as it was stated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.attribution.interface import DEFAULT_PURPOSE, RunIdentity
from agent.attribution.labels import Label
from agent.attribution.share import parts
from agent.counters import MeterKey, amounts
from agent.devices.interface import Method
from agent.pricing import price
from compute.cycles import Cycles
from compute.estimate import Estimate
from compute.precision import Dtype
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.attribution.share import Share
    from agent.counters import Counters
    from agent.devices.interface import Delta, Device, ProcessKey, Snapshot
    from agent.reports.book import Reported

_NOBODY = RunIdentity(UNATTRIBUTED, purpose=UNATTRIBUTED)
_CYCLE_NAMES = tuple(Cycles.__dataclass_fields__)


def book_delta(counters: Counters, device: Device, delta: Delta, split: Sequence[Share], at_ns: int) -> None:
    """Give each share its part of `delta`; the parts sum to the device, cycle by cycle and nanosecond by nanosecond."""
    weights = [share.weight for share in split]
    observed_ns = parts(delta.observed_ns, weights)
    # The wall clock may have been set back in between; the counters' own time is the truth then.
    unseen_ns = parts(max(delta.to_ns - delta.from_ns - delta.observed_ns, 0), weights)
    busy_ns = _parts(delta.busy_ns, weights)
    energy_mj = _parts(delta.energy_mj, weights)
    cycles = _cycle_parts(delta.cycles, weights)
    for n, share in enumerate(split):
        run = share.run or _NOBODY
        if delta.observed_ns or delta.busy_ns:
            done = price(device, delta.method, cycles[n], busy_ns[n], observed_ns[n], run.dtype, delta.clock_mhz)
            grown = amounts(
                done.flop,
                cycles[n],
                int_op=done.int_op,
                busy_ns=busy_ns[n],
                observed_ns=observed_ns[n],
                energy_mj=energy_mj[n],
            )
            counters.add(_key(run, device, delta.method, share.attribution), grown, at_ns)
        if unseen_ns[n]:
            _book_unobserved(counters, device, run, unseen_ns[n], at_ns)


def book_gap(
    counters: Counters,
    device: Device,
    before: Snapshot,
    after: Snapshot,
    identify: Callable[[ProcessKey], RunIdentity | None],
    at_ns: int,
) -> None:
    """Declare time that no counter covers: to the run whose processes were there before and after, else to nobody."""
    length_ns = after.at_ns - before.at_ns
    if length_ns <= 0:
        return
    there = {use.key for use in before.processes}
    runs = {identify(use.key) for use in after.processes if use.key in there}
    run = runs.pop() if len(runs) == 1 else None
    _book_unobserved(counters, device, run or _NOBODY, length_ns, at_ns)


def book_report(counters: Counters, report: Reported, at_ns: int) -> None:
    """Count what a training loop said of itself, on the architecture basis."""
    key = report.key
    stated = Estimate(report.flop, report.flop_low, report.flop_high)
    counters.add(
        MeterKey(key.run, key.purpose, key.reporter, "architecture", key.method, key.dtype, "exact"),
        amounts(stated, Cycles(), observed_ns=report.observed_ns, tokens=report.tokens),
        at_ns,
    )


def report_label(report: Reported) -> Label:
    """What a training loop named of its run; what stands there when nothing is named was not."""
    key = report.key
    purpose = None if key.purpose == DEFAULT_PURPOSE else key.purpose
    dtype = None if key.dtype == Dtype.UNDECLARED else key.dtype
    return Label(key.run, "otlp", key.model, purpose, dtype)


def _book_unobserved(counters: Counters, device: Device, run: RunIdentity, length_ns: int, at_ns: int) -> None:
    done = price(device, Method.UNOBSERVED, Cycles(), None, length_ns, run.dtype)
    key = _key(run, device, Method.UNOBSERVED, "low")
    counters.add(key, amounts(done.flop, Cycles(), gap_ns=length_ns), at_ns)


def _key(run: RunIdentity, device: Device, method: Method, attribution: str) -> MeterKey:
    return MeterKey(run.run, run.purpose, device.id, "hardware", method.value, run.dtype.value, attribution)


def _parts(total: int | None, weights: Sequence[int]) -> Sequence[int | None]:
    return [None] * len(weights) if total is None else parts(total, weights)


def _cycle_parts(cycles: Cycles, weights: Sequence[int]) -> list[Cycles]:
    if len(weights) == 1:
        return [cycles]
    columns = {name: _parts(getattr(cycles, name), weights) for name in _CYCLE_NAMES}
    return [Cycles(**{name: values[n] for name, values in columns.items()}) for n in range(len(weights))]
