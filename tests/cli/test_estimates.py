from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.estimates import app
from cli.exits import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

HARDWARE = ("hardware", "--device", "H100 SXM5 80GB", "--precision", "bf16")
FULL = (*HARDWARE, "--device-hours", "30.84e6", "--utilization", "0.40")
ARCHITECTURE = ("architecture", "--params", "405e9", "--tokens", "15.6e12")


def ask(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def found(*arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ask(*arguments, "--format", "json"))
    return answer


def test_by_architecture_exactly() -> None:
    answer = found(*ARCHITECTURE)
    assert list(answer) == ["flop", "flop_low", "flop_high", "assumptions"]
    assert answer["flop"] == str(6 * 405 * 10**9 * 156 * 10**11)
    assert any("405,000,000,000 parameters" in line for line in answer["assumptions"])


def test_by_hardware_exactly() -> None:
    answer = found(*FULL)
    assert list(answer) == ["flop", "flop_low", "flop_high", "assumptions"]
    assert answer["flop"] == "43938858240000000000000000"
    assert answer["flop_low"] == "30757200768000000000000000"
    assert any("dense bf16 peak 989.4 TFLOP/s" in line for line in answer["assumptions"])


def test_recomputation_is_shown_apart_and_not_in_the_total() -> None:
    plain, full = found(*ARCHITECTURE), found(*ARCHITECTURE, "--recompute", "full")
    assert full["flop"] == plain["flop"]
    assert int(full["recompute_flop"]) * 3 == int(full["flop"])
    assert found(*ARCHITECTURE, "--recompute", "4/3")["recompute_flop"] == full["recompute_flop"]


def test_a_mixture_of_experts_counts_its_active_parameters() -> None:
    answer = found(*ARCHITECTURE, "--total-params", "2e12")
    assert answer["flop"] == found(*ARCHITECTURE)["flop"]
    assert answer["assumptions"][-1] == (
        "mixture of experts: 405,000,000,000 of 2,000,000,000,000 parameters are active per token"
    )


def test_a_mixed_fleet_is_weighted_by_its_units() -> None:
    fleet = ("--device", "H100 SXM5 80GB=3", "--device", "A100 PCIe=1")
    answer = found("hardware", *fleet, "--device-hours", "4", "--utilization", "1")
    assert int(answer["flop"]) == 3_600 * (3 * 9_894 * 10**11 + 312 * 10**12)


def test_bounds_of_the_utilisation_take_the_place_of_the_margin() -> None:
    answer = found(*FULL, "--utilization-low", "0.35", "--utilization-high", "0.45")
    assert int(answer["flop_low"]) * 8 == int(answer["flop"]) * 7


def test_segments_of_a_file_are_summed(tmp_path: Path) -> None:
    file = tmp_path / "segments.csv"
    file.write_text("device,precision,device_hours,utilization\n" + "A100 PCIe,bf16,10,0.5\n" * 2)
    assert int(found("hardware", "--segments", str(file))["flop"]) == 20 * 3_600 * 156 * 10**12
    file.write_text("device,precision,device_hours,utilization\nA100 PCIe,bf16,ten,0.5\n")
    with pytest.raises(Misconfigured, match=r"segments\.csv: line 2, device_hours: 'ten' is not a number"):
        ask("hardware", "--segments", str(file))


def test_people_see_a_table_and_the_assumptions() -> None:
    said = ask(*FULL)
    assert "4.39 × 10²⁵" in said
    assert "  - C = N·L·H·U" in said


def test_likely_causes_of_a_gap() -> None:
    both = ("reconcile", "--hardware", "6.082e23", "--architecture", "3.87e23", "--rests-on", "hfu")
    answer = found(*both, "--device", "A100 SXM4 80GB", "--device-hours", "1082990")
    assert next(cause["name"] for cause in answer["likely_causes"]) == "recomputation"
    assert answer["implied_utilization_share"] == pytest.approx(0.3182, abs=1e-4)
    assert "recomputation: activations were computed again" in ask(*both)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*ARCHITECTURE[:2], "0", *ARCHITECTURE[3:]), "--params '0' is not more than 0"),
        ((*ARCHITECTURE[:2], "4.5", *ARCHITECTURE[3:]), "--params '4.5' is not a whole number"),
        ((*ARCHITECTURE, "--layers", "8"), "--hidden is missing"),
        ((*ARCHITECTURE, "--recompute", "3"), "--recompute '3': full, or a factor from 1 to 2"),
        ((*ARCHITECTURE, "--recompute", "full", "--forward-only"), "--recompute goes with training"),
        ((*ARCHITECTURE, "--total-params", "1"), "--total-params '1' is less than the active ones"),
        ((*ARCHITECTURE, "--margin", "30"), "--margin '30' is not between 0 and 1"),
        (HARDWARE, "--utilization is missing"),
        ((*HARDWARE, "--utilization", "40", "--device-hours", "1"), "--utilization '40' is not between 0 and 1"),
        ((*HARDWARE, "--utilization", "0.4"), "give --device-hours, or --devices and --hours"),
        ((*HARDWARE, "--utilization", "0.4", "--device-hours", "-1"), "--device-hours '-1' is less than 0"),
        ((*FULL, "--utilization-low", "0.3"), "give --utilization-low and --utilization-high, or neither"),
        ((*FULL, "--utilization-low", "0.5", "--utilization-high", "0.6"), "does not lie between 0.5 and 0.6"),
        ((*FULL, "--device", "A100 PCIe"), "the count ''"),
        ((*FULL, "--segments", "x.csv"), "--segments says it all by itself"),
        (("hardware", "--segments", "no/such.csv"), "no/such.csv: No such file or directory"),
        (("hardware", "--device", "H1000", "--device-hours", "1", "--utilization", "0.4"), "near it: H100 "),
        (("hardware", "--device-hours", "1", "--utilization", "0.4"), "--device is missing"),
        (("reconcile", "--hardware", "0", "--architecture", "1"), "--hardware '0' is not more than 0"),
        (("reconcile", "--hardware", "1", "--architecture", "1", "--device-hours", "1"), "only together with --device"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        ask(*arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
