"""A Prometheus that was there all along: DCGM's metrics, day by day, as bounds without a point.

What a pipe's activity amounts to depends on clock and format, and neither is in the metric, so there is no point:

- the upper bound takes each active cycle for the fastest, at the highest clock, and the vector pipes for busy all
  along, since no metric of the tensor pipe sees them;
- the lower bound takes the clock for the lowest that the caller vouches for, and is 0 without one;
- GPU_UTIL only says that a kernel was there: it gives no lower bound, and any use at all may have been full use;
- time without samples is a gap, with anything from nothing to the peak.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from cli.exits import Misconfigured
from compute.accelerators import table
from compute.boards import Board, board
from compute.precision import Dtype
from ledger.adjustments import IMPORT, Adjustment
from ledger.imports.prometheus_api import Meaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ledger.imports.prometheus_api import Prometheus

DAY_S = 86_400
PPB = 10**9
MARGIN_PPM = 30_000
"""Design allowance for a method that samples, on either side: as for the agent's sampled clocks."""
UNTABLED_ALLOWANCE = (11, 10)
"""By how much a chip may pass its published peak where its highest clock is not known: H100 does by 8 %."""
PROMETHEUS_MAX_POINTS = 11_000
_DEVICE_LABELS = ("UUID", "uuid", "GPU_UUID")
_PLACE_LABELS = ("Hostname", "instance", "gpu", "device", "GPU_I_ID")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be imported: whole days in UTC from `first` to before `until`."""

    run_id: str
    query: str
    meaning: Meaning
    dtype: Dtype
    first: date
    until: date
    step_s: int = 60
    board: Board | None = None
    clock_min_mhz: int = 0
    only_while_present: bool = False
    cluster: str = ""
    purpose: str = ""


@dataclass(slots=True)
class _Device:
    """One GPU's day: the share of each step, in parts per billion, by the step's number."""

    board: Board
    shares: dict[int, int] = field(default_factory=dict)


def samples(source: Prometheus, asked: Asked, now_s: int, progress: Callable[[float], None]) -> list[Adjustment]:
    """An import per day with samples; raises `Misconfigured` when there are none at all, or ones that make no sense."""
    days = list(_days(asked, now_s))
    found: list[Adjustment] = []
    for number, day in enumerate(days, 1):
        start_s = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        # A sample at t speaks of the step before t, so a day's first is one step in and its last at midnight.
        series = source.series(asked.query, start_s + asked.step_s, start_s + DAY_S, asked.step_s)
        devices = _devices(series, asked, start_s)
        if devices:
            found.append(_adjustment(asked, day, list(devices.values())))
        progress(number / len(days))
    if not found:
        raise Misconfigured(
            f"there is no series for {asked.query!r} between {asked.first} and {asked.until}: is the metric exported, "
            "and kept that long?"
        )
    return found


def _days(asked: Asked, now_s: int) -> Iterator[date]:
    if asked.step_s <= 0 or DAY_S % asked.step_s or DAY_S // asked.step_s > PROMETHEUS_MAX_POINTS:
        raise Misconfigured(f"--step {asked.step_s}: seconds that divide a day, 8 or more")
    if asked.until <= asked.first:
        raise Misconfigured(f"--to {asked.until} is not after --from {asked.first}")
    if asked.until > datetime.fromtimestamp(now_s, UTC).date():
        raise Misconfigured(f"--to {asked.until}: only days that are over can be imported")
    day = asked.first
    while day < asked.until:
        yield day
        day += timedelta(days=1)


def _devices(series: list[dict[str, Any]], asked: Asked, start_s: int) -> dict[str, _Device]:
    """Series by the GPU that they are about: labels of pods and jobs change while the GPU stays."""
    devices: dict[str, _Device] = {}
    for one in series:
        labels: Mapping[str, str] = one["metric"]
        device = devices.setdefault(_name(labels), _Device(asked.board or _board(labels)))
        for at_s, text in one["values"]:
            share = _share(asked.query, text)
            if share is not None:
                step = round((at_s - start_s) / asked.step_s)
                device.shares[step] = max(share, device.shares.get(step, 0))
    return {name: device for name, device in devices.items() if device.shares}


def _name(labels: Mapping[str, str]) -> str:
    for label in _DEVICE_LABELS:
        if labels.get(label):
            return f"{labels[label]} {labels.get('GPU_I_ID', '')}"
    return " ".join(f"{label}={labels.get(label, '')}" for label in _PLACE_LABELS)


def _board(labels: Mapping[str, str]) -> Board:
    name = labels.get("modelName") or labels.get("model")
    if name is None:
        raise Misconfigured('the series have no label modelName: say which board it is with --device "H100 SXM5 80GB"')
    try:
        return board(name)
    except ValueError as error:
        raise Misconfigured(f"modelName {error}; say which board it is with --device") from error


def _share(query: str, text: str) -> int | None:
    """Parts per billion; None for a sample that says nothing."""
    value = Decimal(text)
    if value.is_nan():
        return None
    if not 0 <= value <= 1:
        raise Misconfigured(f"{query!r} gives {text}, not a share between 0 and 1: divide a percentage by 100")
    return int((value * PPB).to_integral_value())


def _adjustment(asked: Asked, day: date, devices: list[_Device]) -> Adjustment:
    steps = DAY_S // asked.step_s
    low = high = seen = missing = 0
    for device in devices:
        rates = _rates(device.board, asked)
        present = sorted(device.shares)
        span = present[-1] - present[0] + 1 if asked.only_while_present else steps
        gap = span - len(present)
        active = sum(device.shares.values()) * asked.step_s
        used_s = sum(share > 0 for share in device.shares.values()) * asked.step_s
        observed_s, gap_s = len(present) * asked.step_s, gap * asked.step_s
        if asked.meaning is Meaning.TENSOR:
            low += active * rates.tensor_low
            high += active * rates.tensor_high + observed_s * PPB * rates.vector_high
        elif asked.meaning is Meaning.ENGINE:
            high += active * (rates.tensor_high + rates.vector_high)
        else:
            high += used_s * PPB * (rates.tensor_high + rates.vector_high)
        high += gap_s * PPB * (rates.tensor_high + rates.vector_high)
        seen, missing = seen + observed_s, missing + gap_s
    million = 10**6
    return Adjustment(
        kind=IMPORT,
        run_id=asked.run_id,
        flop=None,
        flop_low=low * (million - MARGIN_PPM) // million // PPB,
        flop_high=-(-high * (million + MARGIN_PPM) // million // PPB),
        reason=f"{len(devices)} devices on {day}, imported from Prometheus",
        key=f"prometheus:{asked.cluster}:{asked.run_id}:{asked.purpose}:{day}",
        source="prometheus",
        purpose=asked.purpose,
        period_start=f"{day}T00:00:00Z",
        period_end=f"{day + timedelta(days=1)}T00:00:00Z",
        assumptions=_assumptions(asked, devices, seen, missing),
    )


def _assumptions(asked: Asked, devices: list[_Device], seen_s: int, missing_s: int) -> tuple[str, ...]:
    names = ", ".join(sorted({device.board.name for device in devices}))
    clock = f"{asked.clock_min_mhz} MHz as stated" if asked.clock_min_mhz else "not known, so the lower bound is 0"
    meanings = {
        Meaning.TENSOR: f"share of cycles with a tensor pipe active, in {asked.dtype}; lowest clock: {clock}; the "
        "vector pipes, which it does not see, may have been busy all the time",
        Meaning.ENGINE: "share of time with the chip at work: at most its peak in that share, no lower bound",
        Meaning.BUSY: "a kernel was there at some moment of a step: at most the peak in that step, no lower bound",
    }
    return (
        f"{asked.query}, every {asked.step_s} s",
        f"{len(devices)} devices: {names}",
        meanings[asked.meaning],
        f"{seen_s} device-seconds with samples; {missing_s} without, with anything from nothing to the peak"
        + (", counted from a device's first sample of the day to its last" if asked.only_while_present else ""),
        f"{MARGIN_PPM // 10_000} % allowance for sampling on either side",
    )


@dataclass(frozen=True, slots=True)
class _Rates:
    """FLOP per second of one device: tensor pipes at the least and the most, vector pipes at the most."""

    tensor_low: int
    tensor_high: int
    vector_high: int


def _rates(known: Board, asked: Asked) -> _Rates:
    row = table().get(known.name)
    if row is None:
        return _published_rates(known, asked.dtype)
    floating = {dtype: rate for dtype, rate in row.tensor.items() if dtype not in {Dtype.INT8, Dtype.FP64}}
    if asked.dtype is not Dtype.UNDECLARED and asked.dtype not in row.tensor:
        raise Misconfigured(f"--precision {asked.dtype}: the tensor pipes of {known.name} do not have it")
    slow = row.tensor.get(asked.dtype, min(floating.values()))
    fast = row.tensor.get(asked.dtype, max(floating.values()))
    per_mhz = row.sm_count * 10**6
    return _Rates(
        slow * per_mhz * min(asked.clock_min_mhz, row.clock_max_mhz),
        fast * per_mhz * row.clock_max_mhz,
        max(row.vector.values()) * per_mhz * row.clock_max_mhz,
    )


def _published_rates(known: Board, dtype: Dtype) -> _Rates:
    """For a board without a rate per cycle: its published peak, with an allowance, and no lower bound."""
    more, base = UNTABLED_ALLOWANCE
    peaks = known.peak_flop_per_s
    if dtype is not Dtype.UNDECLARED and dtype not in peaks:
        raise Misconfigured(f"--precision {dtype}: no peak of {known.name} in it is known")
    fastest = peaks.get(dtype, max(peaks.values()))
    vector = peaks.get(Dtype.FP32, fastest)
    return _Rates(0, fastest * more // base, vector * more // base)
