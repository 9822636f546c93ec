"""Runs that published how they were made, and the Commission's worked examples: our estimates against theirs.

Published sums are printed in a few digits; each is held against its own. `architecture_flop`, `hardware_flop`, `ratio`
and `whole_run_utilization` were worked out by hand from the columns before them.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from compute.architecture import from_architecture
from compute.boards import board, precision
from compute.exact import fraction, truncated, whole
from compute.hardware import Segment, Utilization, nlhu
from compute.reconcile import Facts, Hardware, other_peaks, reconcile

Row = dict[str, str]
ROWS: list[Row] = list(
    csv.DictReader((Path(__file__).parent / "published_runs.csv").read_text(encoding="utf-8").splitlines())
)
COMMISSION = [row for row in ROWS if row["model"].startswith("EC Annex")]
BOTH = [row for row in ROWS if row["ratio"]]


def named(row: Row) -> str:
    return row["model"]


def rounded(number: Fraction | int, digits: int) -> str:
    exact = Fraction(number)
    mantissa, _, exponent = f"{Decimal(exact.numerator) / Decimal(exact.denominator):.{digits - 1}e}".partition("e")
    return f"{Decimal(mantissa).normalize():f}e{int(exponent)}"


def by_architecture(row: Row) -> int:
    flop = from_architecture(whole(row["parameters"]), whole(row["tokens"])).estimate.flop
    assert flop is not None
    return flop


def utilization(row: Row) -> Fraction:
    if row["tflop_per_s"]:
        return fraction(row["tflop_per_s"]) * 10**12 / fraction(row["peak_flop_per_s"])
    return fraction(row["utilization"])


def by_hardware(row: Row) -> int:
    use = Utilization.about(utilization(row))
    flop = nlhu([Segment(fraction(row["device_hours"]), fraction(row["peak_flop_per_s"]), use, "all")]).estimate.flop
    assert flop is not None
    return flop


def peak_flop(row: Row) -> Fraction:
    return fraction(row["device_hours"]) * 3_600 * fraction(row["peak_flop_per_s"])


@pytest.mark.parametrize("row", [row for row in ROWS if row["architecture_flop"]], ids=named)
def test_by_architecture(row: Row) -> None:
    assert rounded(by_architecture(row), 4) == row["architecture_flop"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["hardware_flop"]], ids=named)
def test_by_hardware(row: Row) -> None:
    assert rounded(by_hardware(row), 4) == row["hardware_flop"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["whole_run_utilization"]], ids=named)
def test_the_utilisation_that_the_architecture_implies(row: Row) -> None:
    found = reconcile(1, by_architecture(row), Facts(peak_flop=peak_flop(row))).implied_utilization
    assert found is not None
    assert f"{float(found):.4f}" == row["whole_run_utilization"]


@pytest.mark.parametrize("row", BOTH, ids=named)
def test_the_ratio_of_the_two_bases(row: Row) -> None:
    found = reconcile(by_hardware(row), by_architecture(row), Facts())
    assert f"{float(found.ratio):.3f}" == row["ratio"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["precision"] and row["device"]], ids=named)
def test_the_table_has_the_peak_that_the_run_was_reckoned_with(row: Row) -> None:
    peak = board(row["device"]).peak(precision(row["precision"]))
    assert peak == pytest.approx(float(row["peak_flop_per_s"]), rel=0.001)


def printed(flop: int, as_printed: str) -> str:
    """Truncated to the digits that the Commission prints."""
    digits = len(as_printed.partition("e")[0].replace(".", ""))
    return rounded(truncated(flop, digits), digits)


@pytest.mark.parametrize("row", [row for row in COMMISSION if row["model"] != "EC Annex Model C"], ids=named)
def test_the_commissions_worked_examples_are_truncated(row: Row) -> None:
    flop = by_architecture(row) if row["parameters"] else by_hardware(row)
    assert printed(flop, row["reported_flop"]) == row["reported_flop"]


def test_model_c_of_the_commission_is_rounded_and_not_truncated() -> None:
    (row,) = [row for row in COMMISSION if row["model"] == "EC Annex Model C"]
    assert rounded(by_architecture(row), 2) == row["reported_flop"]
    assert printed(by_architecture(row), row["reported_flop"]) == "1.2e23"


@pytest.mark.parametrize("row", BOTH, ids=named)
def test_either_basis_lies_in_the_interval_of_the_other_where_the_guidelines_margin_holds(row: Row) -> None:
    architecture, hardware = by_architecture(row), by_hardware(row)
    found = reconcile(hardware, architecture, Facts())
    low, high = Fraction(7, 10), Fraction(13, 10)
    inside = low * architecture <= hardware <= high * architecture and low * hardware <= architecture <= high * hardware
    assert found.within_margin == inside


CAUSES = {
    "Llama 3.1 405B": "step utilisation × wall hours",
    "BLOOM 176B": "recomputation",
    "OPT-175B": "recomputation",
    "PaLM 540B": "step utilisation × wall hours",
    "Gopher 280B": "recomputation",
    "Skywork-13B": "attention in the utilisation",
}


@pytest.mark.parametrize("row", BOTH, ids=named)
def test_the_cause_that_is_known_is_among_the_likely_ones(row: Row) -> None:
    kinds = {"step": Hardware.STEP, "hfu": Hardware.HFU}
    rests_on = kinds.get(row["utilization_kind"], Hardware.WHOLE_RUN)
    found = reconcile(by_hardware(row), by_architecture(row), Facts(rests_on, peak_flop(row)))
    names = [cause.name for cause in found.causes]
    if row["model"] in CAUSES:
        assert CAUSES[row["model"]] in names
    else:
        assert names == []


def test_hours_that_were_billed_are_a_likely_cause_for_llama_8b() -> None:
    (row,) = [row for row in ROWS if row["model"] == "Llama 3.1 8B"]
    peak = peak_flop(row)
    found = reconcile(round(peak * Fraction(4, 10)), by_architecture(row), Facts(Hardware.STEP, peak))
    assert "billed hours" in [cause.name for cause in found.causes]


def test_deepseek_by_the_fp8_peak_at_the_utilisation_of_bf16_is_another_peak() -> None:
    (row,) = [row for row in ROWS if row["model"] == "DeepSeek-V3"]
    peaks = board(row["device"]).peak_flop_per_s
    peak = peak_flop(row)
    facts = Facts(Hardware.WHOLE_RUN, peak, other_peaks(precision("fp8"), peaks))
    found = reconcile(round(peak * Fraction(346, 1_000)), by_architecture(row), facts)
    assert any(cause.name == "another peak" and "bf16 and not fp8" in cause.says for cause in found.causes)
