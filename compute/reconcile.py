"""Why the two bases of one run disagree: the usual causes, each with the ratio that it makes.

The causes and what they amount to come from runs that published both (tests/compute/published_runs.csv). Recomputing
all activations executes 8PD where 6PD is counted (BLOOM, OPT, MT-NLG). The utilisation of good steps was multiplied
with all hours (PaLM: 46.2 % of a step, 30.4 % of the run). Hours were billed, not trained (Llama 3.1 8B: 13.9 %).
Another peak was meant than the one in use (DeepSeek-V3: 17.3 % of FP8, 34.6 % of BF16). They are candidates to look
into, no proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from compute.architecture import FULL_RECOMPUTE
from compute.exact import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compute.precision import Dtype

OtherPeaks: TypeAlias = tuple[tuple[str, Fraction], ...]
AGREEMENT = Fraction(11, 10)
"""Up to this ratio, either way, nothing needs a cause."""
SPARSE: OtherPeaks = (("the dense peak, where the sparse one was used", Fraction(1, 2)),)
COUNTED: OtherPeaks = (
    ("fp8 and not the 16-bit format declared", Fraction(2)),
    ("a slower format than declared", Fraction(1, 2)),
)
"""For counted cycles, whose FLOP follow from the declared format."""
_NEAR = Fraction(8, 100)
_LOW_UTILIZATION = Fraction(25, 100)
"""Below this a whole run that trained all the time is hard to believe: published runs that did lie between 30 % and
50 %."""
_MOST_RANKS = 1 << 20


class Hardware(StrEnum):
    """Where the hardware side of a comparison comes from."""

    COUNTED = "counted"
    STEP = "step"
    WHOLE_RUN = "whole-run"
    HFU = "hfu"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of how the two totals were made; None is not known.

    `hardware` says what the hardware side rests on: counters, or an estimate from the utilisation of a step (MFU), of
    the whole run, or of a step with recomputation in it (HFU). `peak_flop` is device time × dense peak, in FLOP;
    `other_peaks` names peaks that may have been meant instead, each as a multiple of the one that was used.
    """

    hardware: Hardware = Hardware.COUNTED
    peak_flop: Fraction | None = None
    other_peaks: OtherPeaks = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """A likely cause: a short name, what happened, and the ratio hardware : architecture that it makes (None: any)."""

    name: str
    says: str
    ratio: Fraction | None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Ratio hardware : architecture, the whole-run utilisation that the architecture side implies, likely causes."""

    ratio: Fraction
    implied_utilization: Fraction | None
    within_margin: bool
    causes: tuple[Cause, ...]


def reconcile(hardware_flop: int, architecture_flop: int, facts: Facts) -> Reconciliation:
    """Compare two totals of one run, FLOP, both above 0; raises ValueError otherwise.

    `within_margin` is whether either could be reported, with the other one true, at the guidelines' 30 % of what is
    reported. Causes whose ratio fits best come first; none is named where the two agree within a tenth.
    """
    if min(hardware_flop, architecture_flop) <= 0:
        raise ValueError("there is nothing to compare with a total of 0 FLOP")
    ratio = Fraction(hardware_flop, architecture_flop)
    gap = abs(hardware_flop - architecture_flop)
    implied = None if not facts.peak_flop else Fraction(architecture_flop) / facts.peak_flop
    causes = [] if 1 / AGREEMENT <= ratio <= AGREEMENT else [*_higher(ratio, implied, facts), *_lower(ratio, facts)]
    causes.sort(key=lambda cause: _distance(ratio, cause.ratio))
    within = gap * 10 <= 3 * min(hardware_flop, architecture_flop)
    return Reconciliation(ratio, implied, within, tuple(causes))


def _higher(ratio: Fraction, implied: Fraction | None, facts: Facts) -> Iterator[Cause]:
    if ratio < 1:
        return
    estimated = facts.hardware is not Hardware.COUNTED
    if facts.hardware is Hardware.HFU or _near(ratio, FULL_RECOMPUTE):
        yield Cause(
            "recomputation",
            "activations were computed again: full recomputation executes 8PD where 6PD is counted, a ratio of 4/3; "
            "the guidelines leave it out, a counter measures it",
            FULL_RECOMPUTE,
        )
    if facts.hardware is Hardware.STEP or (facts.hardware is Hardware.HFU and ratio > FULL_RECOMPUTE * AGREEMENT):
        share = "" if implied is None else f"; over the whole run it was {_percent(implied)}"
        yield Cause(
            "step utilisation × wall hours",
            f"the utilisation of good steps was multiplied with all hours, stalls and restarts among them{share}",
            None,
        )
    if facts.hardware is Hardware.STEP and ratio <= FULL_RECOMPUTE * (1 + _NEAR):
        yield Cause(
            "attention in the utilisation",
            "the published utilisation counts attention scores or recomputation, and 6PD does not",
            None,
        )
    if estimated and implied is not None and implied < _LOW_UTILIZATION:
        yield Cause(
            "billed hours",
            f"all hours trained at only {_percent(implied)} of the peak, if the architecture total is right: hours "
            "that were billed hold restarts, other stages, or failed runs",
            None,
        )
    if not estimated:
        yield Cause(
            "more than the training loop reports",
            "evaluation, restarts from a checkpoint, attention scores or failed segments were executed, and the loop's "
            "formula leaves them out",
            None,
        )
    yield from _peaks(ratio, facts)


def _lower(ratio: Fraction, facts: Facts) -> Iterator[Cause]:
    if ratio >= 1:
        return
    ranks = round(1 / ratio)
    if 2 <= ranks <= _MOST_RANKS and _near(ratio, Fraction(1, ranks)):
        yield Cause(
            "every rank reports the whole run",
            f"{ranks} processes that each report the total of the run would make this ratio",
            Fraction(1, ranks),
        )
    if facts.hardware is Hardware.COUNTED:
        yield Cause(
            "devices without an agent",
            "not all devices of the run were counted: compare the coverage with the world size",
            None,
        )
    yield from _peaks(ratio, facts)


def _peaks(ratio: Fraction, facts: Facts) -> Iterator[Cause]:
    for name, multiple in facts.other_peaks:
        # The hardware side was made with a peak `multiple` times too small, so it is that much below.
        if multiple > 0 and _near(ratio, 1 / multiple):
            yield Cause(
                "another peak", f"it may have been {name}: {plain(multiple)} × the peak that was used", 1 / multiple
            )


def other_peaks(used: Dtype, peaks: Mapping[Dtype, int]) -> OtherPeaks:
    """What a board's peaks in other formats are as multiples of the one in `used`, and sparse ones taken for dense."""
    base = peaks[used]
    formats = [(f"{dtype} and not {used}", Fraction(peak, base)) for dtype, peak in peaks.items() if peak != base]
    return (*formats, *SPARSE)


def _near(ratio: Fraction, expected: Fraction) -> bool:
    return abs(ratio / expected - 1) <= _NEAR


def _distance(ratio: Fraction, expected: Fraction | None) -> Fraction:
    return Fraction(1) if expected is None else abs(ratio / expected - 1)


def _percent(share: Fraction) -> str:
    return f"{float(share):.1%}"
