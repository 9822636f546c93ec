"""`flopledger estimate …`: compute that nobody measured, from a model's shape or from device-hours."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated, Any

import typer

from cli.exits import Misconfigured
from cli.numbers import fraction, whole
from cli.output import Format, emit, print_json
from compute.architecture import Attention, from_architecture, recomputed_flop
from compute.boards import board, precision
from compute.estimate import Reasoned
from compute.exact import plain
from compute.hardware import (
    MARGIN,
    MARGIN_SENTENCE,
    SECONDS_PER_HOUR,
    Fleet,
    Segment,
    Utilization,
    mean_peak_flop_per_s,
    nlhu,
)
from compute.reconcile import COUNTED, SPARSE, Facts, Hardware, OtherPeaks, other_peaks
from compute.reconcile import reconcile as run_reconcile
from compute.segments import read_segments
from compute.tables import MAX_BYTES

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
MarginOption = Annotated[str, typer.Option(help="interval on either side, as a share of the estimate")]
DEFAULT_MARGIN = str(float(MARGIN))


@app.command()
def architecture(
    params: Annotated[str, typer.Option(help="parameters; of a mixture of experts, those active per token")],
    tokens: Annotated[str, typer.Option(help="tokens seen in all, over all epochs")],
    total_params: Annotated[
        str | None, typer.Option(help="of a mixture of experts: all parameters, to be named")
    ] = None,
    layers: Annotated[str | None, typer.Option(help="for the attention term: layers")] = None,
    hidden: Annotated[str | None, typer.Option(help="for the attention term: heads × head width")] = None,
    context: Annotated[str | None, typer.Option(help="for the attention term: context length, tokens")] = None,
    forward_only: Annotated[bool, typer.Option(help="forward passes alone: generating or scoring data")] = False,
    recompute: Annotated[
        str | None, typer.Option(help="shown apart: full, or how many times 6PD is executed, such as 4/3 or 1.1")
    ] = None,
    margin: MarginOption = DEFAULT_MARGIN,
    form: FormatOption = Format.TABLE,
) -> None:
    """By the shape of the model: 6PD, and what attention adds."""
    parameters, seen = _positive(params, "--params"), _positive(tokens, "--tokens")
    found = from_architecture(
        parameters,
        seen,
        attention=_attention(layers, hidden, context),
        forward_only=forward_only,
        margin=_share(margin, "--margin"),
    )
    says = list(found.assumptions)
    if total_params is not None:
        total = _positive(total_params, "--total-params")
        if total < parameters:
            raise Misconfigured(f"--total-params {total_params!r} is less than the active ones, --params {params}")
        says.append(f"mixture of experts: {parameters:,} of {total:,} parameters are active per token")
    again = None if recompute is None else recomputed_flop(parameters, seen, _factor(recompute))
    if again is not None and forward_only:
        raise Misconfigured("--recompute goes with training; forward passes alone keep no activations")
    _show(Reasoned(found.estimate, tuple(says)), form, {} if again is None else {"recompute_flop": again})


@app.command()
def hardware(
    device: Annotated[
        list[str] | None, typer.Option(help='"H100 SXM5 80GB"; several as NAME=COUNT for a mixed fleet')
    ] = None,
    precision_name: Annotated[str, typer.Option("--precision", help="format it multiplies in: bf16, fp8, …")] = "bf16",
    device_hours: Annotated[str | None, typer.Option(help="hours over all devices together")] = None,
    devices: Annotated[str | None, typer.Option(help="in place of --device-hours: how many devices …")] = None,
    hours: Annotated[str | None, typer.Option(help="… for how many hours each")] = None,
    utilization: Annotated[str | None, typer.Option(help="average share of the dense peak: 0.40")] = None,
    utilization_low: Annotated[str | None, typer.Option(help="lower bound of that share")] = None,
    utilization_high: Annotated[str | None, typer.Option(help="upper bound of that share")] = None,
    peak: Annotated[str | None, typer.Option(help="FLOP per second of one device, in place of the table's")] = None,
    segments: Annotated[
        Path | None, typer.Option(help="CSV file, a line per period with its own fleet or utilisation")
    ] = None,
    margin: MarginOption = DEFAULT_MARGIN,
    form: FormatOption = Format.TABLE,
) -> None:
    """By device time: units × hours × peak × utilisation."""
    one_period = (device, device_hours, devices, hours, utilization, utilization_low, utilization_high, peak)
    if segments is not None:
        if any(value is not None for value in one_period):
            raise Misconfigured("--segments says it all by itself: leave the options of a single period out")
        _show(nlhu(_segments(segments)), form, {})
        return
    if utilization is None:
        raise Misconfigured("--utilization is missing: the average share of the dense peak, such as 0.40")
    total, counted = _device_hours(device_hours, devices, hours)
    mean, named = _peak(device or [], precision_name, peak)
    use, interval = _utilization(utilization, utilization_low, utilization_high, margin)
    says = f"{counted} of {named}, at {plain((use.point or 0) * 100)} % of it on average"
    found = nlhu([Segment(total, mean, use, says)])
    _show(Reasoned(found.estimate, (*found.assumptions, interval)), form, {})


@app.command()
def reconcile(
    hardware_flop: Annotated[str, typer.Option("--hardware", help="total by hardware, FLOP")],
    architecture_flop: Annotated[str, typer.Option("--architecture", help="total by architecture, FLOP")],
    rests_on: Annotated[
        Hardware, typer.Option(help="what the hardware total rests on: counters, or which utilisation")
    ] = Hardware.COUNTED,
    device: Annotated[str | None, typer.Option(help="accelerator, to name other peaks and the utilisation")] = None,
    precision_name: Annotated[str, typer.Option("--precision", help="format whose peak was used")] = "bf16",
    device_hours: Annotated[str | None, typer.Option(help="hours over all devices, for the utilisation")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Name likely causes of a gap between the two bases of one run."""
    peaks: OtherPeaks = SPARSE if rests_on is not Hardware.COUNTED else COUNTED
    peak_flop = None
    if device is not None:
        peak, _ = _peak([device], precision_name, None)
        peaks = other_peaks(precision(precision_name), board(device).peak_flop_per_s)
        if device_hours is not None:
            peak_flop = peak * _not_negative(device_hours, "--device-hours") * SECONDS_PER_HOUR
    elif device_hours is not None:
        raise Misconfigured("--device-hours says something only together with --device")
    totals = _positive(hardware_flop, "--hardware"), _positive(architecture_flop, "--architecture")
    found = run_reconcile(*totals, Facts(rests_on, peak_flop, peaks))
    row = {
        "ratio": float(found.ratio),
        "implied_utilization_share": None if found.implied_utilization is None else float(found.implied_utilization),
        "within_margin": found.within_margin,
    }
    causes = [{"name": cause.name, "says": cause.says} for cause in found.causes]
    if form is Format.JSON:
        print_json({**row, "likely_causes": causes})
        return
    emit(
        "reconciliation",
        [{**row, "likely_causes": [cause.name for cause in found.causes]}],
        (*row, "likely_causes"),
        form,
    )
    if form is Format.TABLE:
        sys.stdout.write("".join(f"  - {cause.name}: {cause.says}\n" for cause in found.causes))


def _show(found: Reasoned, form: Format, more: dict[str, int]) -> None:
    estimate = found.estimate
    row: dict[str, Any] = {
        "flop": estimate.flop,
        "flop_low": estimate.low,
        "flop_high": estimate.high,
        **more,
        "assumptions": list(found.assumptions),
    }
    if form is Format.JSON:
        print_json(row)
    elif form is Format.CSV:
        emit("estimates", [row], tuple(row), form)
    else:
        emit("estimates", [row], tuple(name for name in row if name != "assumptions"), form)
        sys.stdout.write("".join(f"  - {line}\n" for line in found.assumptions))


def _segments(file: Path) -> list[Segment]:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise Misconfigured(f"{file}: larger than {MAX_BYTES >> 20} MiB")
    try:
        found = read_segments(data)
    except ValueError as error:
        raise Misconfigured(f"{file}: {error}") from error
    if not found:
        raise Misconfigured(f"{file}: no line below the header")
    return found


def _device_hours(device_hours: str | None, devices: str | None, hours: str | None) -> tuple[Fraction, str]:
    if device_hours is not None and devices is None and hours is None:
        total = _not_negative(device_hours, "--device-hours")
        return total, f"{plain(total)} device-hours"
    if device_hours is None and devices is not None and hours is not None:
        count, each = _positive(devices, "--devices"), _not_negative(hours, "--hours")
        return count * each, f"{count:,} devices × {plain(each)} h"
    raise Misconfigured("give --device-hours, or --devices and --hours")


def _peak(names: list[str], precision_name: str, peak: str | None) -> tuple[Fraction, str]:
    if peak is not None:
        given = _not_negative(peak, "--peak")
        return given, f"{' and '.join(names) or 'devices'}, peak {plain(given / 10**12)} TFLOP/s as given"
    if not names:
        raise Misconfigured('--device is missing: which accelerator, such as "H100 SXM5 80GB"; or give its --peak')
    try:
        dtype = precision(precision_name)
    except ValueError as error:
        raise Misconfigured(f"--precision {error}") from error
    fleets = []
    for text in names:
        name, mark, count = text.partition("=")
        units = Fraction(_positive(count, f"--device {text!r}: the count")) if mark or len(names) > 1 else Fraction(1)
        try:
            found = board(name)
            fleets.append(Fleet(found.name, units, Fraction(found.peak(dtype))))
        except ValueError as error:
            raise Misconfigured(f"--device {error}") from error
    mean = mean_peak_flop_per_s(fleets)
    if len(fleets) == 1:
        return mean, f"{fleets[0].name}, dense {dtype} peak {plain(mean / 10**12)} TFLOP/s"
    parts = " + ".join(f"{plain(f.units)} × {f.name} ({plain(f.peak_flop_per_s / 10**12)} TFLOP/s)" for f in fleets)
    return mean, f"a fleet of {parts}, dense {dtype} peak {plain(mean / 10**12)} TFLOP/s weighted by units"


def _utilization(point: str, low: str | None, high: str | None, margin: str) -> tuple[Utilization, str]:
    share = _share(point, "--utilization")
    if low is None and high is None:
        wide = _share(margin, "--margin")
        return Utilization.about(share, wide), MARGIN_SENTENCE.format(margin=plain(wide * 100))
    if low is None or high is None:
        raise Misconfigured("give --utilization-low and --utilization-high, or neither")
    lowest, highest = _share(low, "--utilization-low"), _share(high, "--utilization-high")
    if not lowest <= share <= highest:
        raise Misconfigured(f"--utilization {point} does not lie between {low} and {high}")
    return Utilization(share, lowest, highest), f"interval: utilisation between {low} and {high}, as stated"


def _attention(layers: str | None, hidden: str | None, context: str | None) -> Attention | None:
    given = {"--layers": layers, "--hidden": hidden, "--context": context}
    missing = [option for option, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise Misconfigured(f"{missing[0]} is missing: the attention term needs --layers, --hidden and --context")
    return Attention(*(_positive(value or "", option) for option, value in given.items()))


def _factor(text: str) -> Fraction:
    above, _, below = ("4/3" if text == "full" else text).partition("/")
    factor = fraction(above, "--recompute") / (_positive(below, "--recompute") if below else 1)
    if not 1 <= factor <= 2:
        raise Misconfigured(f"--recompute {text!r}: full, or a factor from 1 to 2")
    return factor


def _positive(text: str, option: str) -> int:
    number = whole(text, option)
    if number <= 0:
        raise Misconfigured(f"{option} {text!r} is not more than 0")
    return number


def _not_negative(text: str, option: str) -> Fraction:
    number = fraction(text, option)
    if number < 0:
        raise Misconfigured(f"{option} {text!r} is less than 0")
    return number


def _share(text: str, option: str) -> Fraction:
    number = fraction(text, option)
    if not 0 <= number <= 1:
        raise Misconfigured(f"{option} {text!r} is not between 0 and 1; write 40 % as 0.40")
    return number
