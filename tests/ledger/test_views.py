from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.declarations import Declaration
from ledger.totals import (
    COVERAGE_COLUMNS,
    RECONCILIATION_COLUMNS,
    RUN_COLUMNS,
    TOTAL_COLUMNS,
    UNATTRIBUTED_COLUMNS,
    rows,
)
from tests.ledger.chains import NOW_NS, Chain, meter, take
from wire.batch import UNATTRIBUTED, Reading

if TYPE_CHECKING:
    from ledger.ledger import Ledger

SECOND_NS = 10**9
SPAN_NS = 100 * SECOND_NS


def watched(device: str, observed_ns: int = SPAN_NS, run: str = "r", **changes: Any) -> list[Reading]:
    """A device's meter, read at both ends of the span."""
    first, last = ({"at_ns": NOW_NS, "observed_ns": 0}, {"at_ns": NOW_NS + SPAN_NS, "observed_ns": observed_ns})
    return [meter(1, device=device, run=run, **values, **changes) for values in (first, last)]


def record(ledger: Ledger, *devices: list[Reading]) -> None:
    readings = [reading for device in devices for reading in device]
    take(ledger, [Chain().seal(*sorted(readings, key=lambda reading: reading.at_ns))])


def declare(ledger: Ledger, devices: int | None) -> None:
    ledger.append([Declaration("r", devices=devices).statement("me")])


def coverage(ledger: Ledger) -> dict[str, Any]:
    (found,) = rows(ledger, "coverage", COVERAGE_COLUMNS, "run_id")
    return found


def test_without_a_declared_world_size_coverage_is_unknown(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b"))
    found = coverage(ledger)
    assert (found["coverage"], found["denominator"], found["expected_ns"]) == (None, "unknown", None)
    assert (found["devices"], found["observed_ns"]) == (2, 2 * SPAN_NS)


def test_a_declaration_without_a_world_size_leaves_coverage_unknown(ledger: Ledger) -> None:
    record(ledger, watched("a"))
    declare(ledger, None)
    assert (coverage(ledger)["coverage"], coverage(ledger)["denominator"]) == (None, "unknown")


def test_all_devices_watched_all_the_time_is_full_coverage(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b"))
    declare(ledger, 2)
    found = coverage(ledger)
    assert (found["coverage"], found["denominator"]) == (1.0, "declared world size")
    assert found["expected_ns"] == 2 * SPAN_NS


@pytest.mark.parametrize(("declared", "expected"), [(3, 2 / 3), (4, 0.5), (8, 0.25)])
def test_a_device_that_never_had_an_agent_lowers_coverage(ledger: Ledger, declared: int, expected: float) -> None:
    record(ledger, watched("a"), watched("b"))
    declare(ledger, declared)
    assert coverage(ledger)["coverage"] == pytest.approx(expected)


def test_a_device_that_fell_silent_lowers_coverage(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b", SPAN_NS // 4))
    declare(ledger, 2)
    assert coverage(ledger)["coverage"] == pytest.approx(0.625)


def test_time_that_no_counter_covers_is_no_coverage(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b", SPAN_NS // 4, gap_ns=3 * SPAN_NS // 4))
    declare(ledger, 2)
    found = coverage(ledger)
    assert (found["coverage"], found["gap_ns"]) == (pytest.approx(0.625), 3 * SPAN_NS // 4)


def test_a_device_that_idles_between_is_covered(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b", SPAN_NS // 4), watched("b", 3 * SPAN_NS // 4, run=UNATTRIBUTED))
    declare(ledger, 2)
    found = coverage(ledger)
    assert (found["coverage"], found["idle_ns"]) == (1.0, 3 * SPAN_NS // 4)


def test_what_a_device_idled_before_the_run_makes_up_for_no_missing_device(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b"), watched("b", 50 * SPAN_NS, run=UNATTRIBUTED))
    declare(ledger, 4)
    assert coverage(ledger)["coverage"] == pytest.approx(0.5)


def test_more_devices_than_declared_cover_no_more_than_all(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("b"))
    declare(ledger, 1)
    assert coverage(ledger)["coverage"] == 1.0


def test_a_run_that_was_read_once_has_no_span_to_cover(ledger: Ledger) -> None:
    record(ledger, watched("a")[:1])
    declare(ledger, 1)
    assert coverage(ledger)["coverage"] is None


def test_what_a_loop_reports_covers_no_device(ledger: Ledger) -> None:
    record(ledger, watched("a"), watched("rank-0", basis="architecture", method="reported-rank"))
    declare(ledger, 2)
    assert (coverage(ledger)["devices"], coverage(ledger)["coverage"]) == (1, pytest.approx(0.5))


HARDWARE: dict[str, Any] = {"basis": "hardware"}
REPORTED: dict[str, Any] = {"basis": "architecture", "method": "reported-run", "device": "rank-0"}


@pytest.mark.parametrize(
    ("readings", "finding"),
    [
        ([meter(100), meter(100, **REPORTED)], "agree"),
        ([meter(90), meter(100, **REPORTED)], "agree"),
        ([meter(160), meter(100, **REPORTED)], "agree"),
        ([meter(89), meter(100, **REPORTED)], "hardware below reported"),
        ([meter(161), meter(100, **REPORTED)], "hardware above reported"),
        ([meter(100)], "no architecture basis"),
        ([meter(100), meter(None, 5, 200, **REPORTED)], "no architecture basis"),
        ([meter(100, **REPORTED)], "no hardware basis"),
        ([meter(None, 0, 100), meter(100, **REPORTED)], "within bounds"),
        ([meter(None, 0, 99), meter(100, **REPORTED)], "reported above the upper bound"),
    ],
)
def test_a_disagreement_of_the_two_bases_is_a_finding(ledger: Ledger, readings: list[Reading], finding: str) -> None:
    take(ledger, [Chain().seal(*readings)])
    (found,) = rows(ledger, "reconciliation", RECONCILIATION_COLUMNS, "run_id")
    assert found["finding"] == finding


def test_a_basis_that_is_not_there_is_unknown_and_not_zero(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(100, run="a"), meter(7, run="b", **REPORTED))])
    measured, reported = rows(ledger, "reconciliation", RECONCILIATION_COLUMNS, "run_id")
    assert (measured["architecture_flop"], measured["ratio"]) == (None, None)
    assert [reported[f"hardware_flop{bound}"] for bound in ("", "_low", "_high")] == [None] * 3
    assert reported["ratio"] is None


def test_totals_of_the_size_of_laws_are_compared(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(39 * 10**24), meter(38 * 10**24, **REPORTED))])
    (found,) = rows(ledger, "reconciliation", RECONCILIATION_COLUMNS, "run_id")
    assert (found["hardware_flop"], found["architecture_flop"]) == (39 * 10**24, 38 * 10**24)
    assert found["ratio"] == pytest.approx(39 / 38)


def test_what_belongs_to_nobody_is_told_device_by_device(ledger: Ledger) -> None:
    one, two = Chain(1), Chain(2)
    rest: dict[str, Any] = {"run": UNATTRIBUTED, "observed_ns": 10}
    take(ledger, [one.seal(meter(5, **rest), meter(None, 0, 9, method="busy", **rest)), two.seal(meter(7, **rest))])
    assert rows(ledger, "unattributed", UNATTRIBUTED_COLUMNS, "node") == [
        dict(zip(UNATTRIBUTED_COLUMNS, values, strict=True))
        for values in (
            ("c", one.node, "GPU-1", ["busy", "gpm-cycles"], 5, 5, 14, 20, None),
            ("c", two.node, "GPU-1", ["gpm-cycles"], 7, 7, 7, 10, None),
        )
    ]


def test_what_commands_print_is_there_even_in_an_empty_ledger(ledger: Ledger) -> None:
    for view, columns in (
        ("run_totals", TOTAL_COLUMNS),
        ("coverage", COVERAGE_COLUMNS),
        ("unattributed", UNATTRIBUTED_COLUMNS),
        ("reconciliation", RECONCILIATION_COLUMNS),
        ("runs", RUN_COLUMNS),
    ):
        assert rows(ledger, view, columns, columns[0]) == []
