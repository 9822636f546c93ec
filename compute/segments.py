"""Device-hours with utilisation as lines of a CSV table: what `estimate hardware --segments` and `import csv` read."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from compute.boards import board, precision
from compute.exact import plain
from compute.hardware import MARGIN, MARGIN_SENTENCE, Segment, Utilization
from compute.tables import read_table

if TYPE_CHECKING:
    from compute.tables import Line

REQUIRED = ("device", "precision", "utilization")
OPTIONAL = (
    "device_hours",
    "devices",
    "hours",
    "utilization_low",
    "utilization_high",
    "peak_tflop_per_s",
    "start",
    "end",
    "note",
)
"""Either `device_hours`, or `devices` and `hours`; `peak_tflop_per_s` takes the place of the table's."""


def read_segments(data: bytes) -> list[Segment]:
    """The segments of a table; raises `compute.tables.BadCell`."""
    lines = read_table(data, REQUIRED, OPTIONAL)
    return [segment(line) for line in lines]


def segment(line: Line) -> Segment:
    """What one line says; raises `compute.tables.BadCell` naming the field."""
    hours, counted = _device_hours(line)
    peak, device = _peak(line)
    use, interval = _utilization(line)
    share = plain((use.point or 0) * 100)
    return Segment(
        hours,
        peak,
        use,
        f"line {line.number}: {counted} of {device}, at {share} % of it on average; {interval}",
    )


def _device_hours(line: Line) -> tuple[Fraction, str]:
    total = line.number_or_none("device_hours")
    devices, hours = line.number_or_none("devices"), line.number_or_none("hours")
    if total is None:
        if devices is None and hours is None:
            raise line.bad("device_hours", "must be given, or devices and hours in its place")
        if devices is None or hours is None:
            raise line.bad("devices" if devices is None else "hours", "must be given, where device_hours is not")
        return devices * hours, f"{plain(devices)} devices × {plain(hours)} h"
    if devices is not None and hours is not None and devices * hours != total:
        raise line.bad("device_hours", f"{plain(total)} is not {plain(devices)} devices × {plain(hours)} h")
    return total, f"{plain(total)} device-hours"


def _peak(line: Line) -> tuple[Fraction, str]:
    name, wanted = line.need("device"), line.need("precision")
    try:
        dtype = precision(wanted)
    except ValueError as error:
        raise line.bad("precision", str(error)) from error
    given = line.number_or_none("peak_tflop_per_s")
    if given is not None:
        return given * 10**12, f"{name}, {dtype}, peak {plain(given)} TFLOP/s as given"
    try:
        found = board(name)
    except ValueError as error:
        raise line.bad("device", str(error)) from error
    try:
        peak = Fraction(found.peak(dtype))
    except ValueError as error:
        raise line.bad("precision", str(error)) from error
    return peak, f"{found.name}, dense {dtype} peak {plain(peak / 10**12)} TFLOP/s"


def _utilization(line: Line) -> tuple[Utilization, str]:
    point = line.number_or_none("utilization")
    if point is None:
        raise line.bad("utilization", "must be given")
    if point > 1:
        raise line.bad("utilization", f"{plain(point)} is more than 1; write 40 % as 0.40")
    low, high = line.number_or_none("utilization_low"), line.number_or_none("utilization_high")
    if low is None and high is None:
        return Utilization.about(point), MARGIN_SENTENCE.format(margin=plain(MARGIN * 100))
    if low is None or high is None:
        raise line.bad("utilization_low" if low is None else "utilization_high", "give both bounds, or none")
    if not low <= point:
        raise line.bad("utilization_low", f"{plain(low)} is above the utilisation, {plain(point)}")
    if not point <= high <= 1:
        raise line.bad("utilization_high", f"{plain(high)} is not between the utilisation, {plain(point)}, and 1")
    return Utilization(point, low, high), f"stated bounds {plain(low * 100)} % and {plain(high * 100)} %"
