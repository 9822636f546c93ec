from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from ledger.errors import Refused
from ledger.rows import CURVE, to_table
from ledger.totals import RunTotal, run_totals
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, empty, evidence, meter, take
from tests.wire.batches import KEY, batches
from wire.batch import COLUMNS, UNATTRIBUTED, DeviceRecord
from wire.seal import seal

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store
    from wire.batch import Batch

MOST = 2**128 - 1


def totals(ledger: Ledger) -> dict[tuple[str, str], RunTotal]:
    return {(total.run_id, total.basis): total for total in run_totals(ledger)}


def one(ledger: Ledger, run: str = "r", basis: str = "hardware") -> RunTotal:
    return totals(ledger)[run, basis]


def asked(ledger: Ledger, sql: str) -> list[Any]:
    return [row[0] if len(row) == 1 else tuple(row) for row in ledger.query(sql).rows]


def test_the_total_of_a_run_is_the_sum_over_its_meters_of_the_highest_reading(ledger: Ledger) -> None:
    chain, other = Chain(0), Chain(1)
    take(ledger, [chain.seal(meter(5, device="a"), meter(7, device="b")), other.seal(meter(100))])
    take(ledger, [chain.seal(meter(11, device="a"))])
    assert one(ledger).flop == 11 + 7 + 100


def test_counters_of_another_incarnation_begin_again_and_are_added(ledger: Ledger) -> None:
    chain = Chain()
    before = chain.seal(meter(5))
    chain.restart()
    take(ledger, [before, chain.seal(meter(3))])
    assert one(ledger).flop == 8


@pytest.mark.parametrize("changed", ["purpose", "device", "method", "dtype"])
def test_a_meter_that_changes_in_its_key_is_another_meter(ledger: Ledger, changed: str) -> None:
    take(ledger, [Chain().seal(meter(5), meter(3, **{changed: "other"}))])
    assert one(ledger).flop == 8


def test_a_sum_past_two_to_the_64_is_exact(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(*(meter(2**64 - 1, device=f"{n}") for n in range(7)))])
    assert one(ledger) == RunTotal(
        "r", "hardware", *(7 * (2**64 - 1),) * 3, first_at=one(ledger).first_at, last_at=one(ledger).last_at
    )


def test_a_sum_of_meters_as_large_as_a_meter_can_be_is_exact(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(*(meter(MOST, device=f"{n}", method=f"m{n % 2}") for n in range(5)))])
    assert one(ledger).flop == one(ledger).flop_low == one(ledger).flop_high == 5 * MOST


def test_small_counters_are_summed_past_two_to_the_64(ledger: Ledger) -> None:
    most = 2**63 - 1
    rows = [meter(1, device=f"{n}", tokens=most, observed_ns=most, gap_ns=most, energy_mj=most) for n in range(5)]
    take(ledger, [Chain().seal(*rows)])
    assert asked(ledger, "SELECT tokens, observed_ns, gap_ns, energy_mj FROM run_totals") == [(5 * most,) * 4]


def test_a_method_with_bounds_only_has_no_point_and_says_so(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(None, 3, 90, method="cpu-time"))])
    total = one(ledger)
    assert (total.flop, total.flop_low, total.flop_high) == (None, 3, 90)
    assert asked(ledger, "SELECT bounds_only_share FROM run_totals") == [1.0]


def test_the_share_that_is_bounds_only_is_that_of_the_upper_bound(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(70), meter(None, 10, 30, device="b", method="busy"))])
    assert asked(ledger, "SELECT bounds_only_share FROM run_totals") == [0.3]


@pytest.mark.parametrize("method", ["gpm", "busy"])
def test_beside_a_point_a_lower_bound_counts_so_that_no_total_falls_below_its_own(ledger: Ledger, method: str) -> None:
    take(ledger, [Chain().seal(meter(70, method="gpm"), meter(None, 100, 300, device="b", method=method))])
    total = one(ledger)
    assert (total.flop_low, total.flop, total.flop_high) == (170, 170, 370)


def test_a_run_that_measured_nothing_has_no_share_of_bounds_only(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(None, 0, 0))])
    assert asked(ledger, "SELECT bounds_only_share FROM run_totals") == [0.0]


def test_what_belongs_to_no_run_stands_apart(ledger: Ledger) -> None:
    chain = Chain(4)
    take(ledger, [chain.seal(meter(5), meter(8, 6, 9, run=UNATTRIBUTED, observed_ns=60, gap_ns=2))])
    assert set(totals(ledger)) == {("r", "hardware")}
    assert asked(ledger, "SELECT node, device, flop, flop_low, flop_high, observed_ns, gap_ns FROM unattributed") == [
        (chain.node, "GPU-1", 8, 6, 9, 60, 2)
    ]


def test_what_the_chips_did_and_what_the_loop_says_are_never_added(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(10), meter(7, basis="architecture", method="reported-rank"))])
    assert (one(ledger).flop, one(ledger, basis="architecture").flop) == (10, 7)


def test_what_each_rank_and_what_the_run_reports_are_never_added(ledger: Ledger) -> None:
    ranks = [meter(7, device=f"rank-{n}", basis="architecture", method="reported-rank", tokens=2) for n in range(8)]
    whole = meter(50, device="rank-0", basis="architecture", method="reported-run", tokens=20)
    take(ledger, [Chain().seal(*ranks, whole)])
    assert one(ledger, basis="architecture").flop == 56
    assert asked(ledger, "SELECT tokens, methods FROM run_totals") == [(20, ["reported-rank", "reported-run"])]


def test_different_ways_of_measuring_hardware_are_added(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(7, method="gpm-cycles"), meter(5, method="gpm"))])
    assert one(ledger).flop == 12


def test_an_excluded_batch_is_kept_and_counts_in_no_total(ledger: Ledger) -> None:
    device = DeviceRecord("GPU-9", "gpu", "H100", None, 132, None, None, None, "gpm", 10**15)
    sealed = Chain().seal(meter(5), devices=(device,))
    item = evidence(sealed, "sealed_at: 700 s in the future")
    ledger.collisions([item])
    ledger.record([item])
    assert totals(ledger) == {}
    assert asked(ledger, "SELECT excluded_reason FROM batches") == ["sealed_at: 700 s in the future"]
    assert [asked(ledger, f"SELECT count() FROM {table}") for table in ("meters", "curve", "devices")] == [[0]] * 3


def test_a_batch_without_readings_is_evidence_too(ledger: Ledger) -> None:
    take(ledger, [Chain().seal()])
    assert asked(ledger, "SELECT seq FROM batches") == [0]


def test_the_evidence_is_the_signed_bytes_and_where_they_were_read(ledger: Ledger) -> None:
    chain = Chain(3)
    first, second = chain.seal(meter(5)), chain.seal(meter(6))
    take(ledger, [first, second])
    found = asked(
        ledger,
        "SELECT agent, seq, body, hex(sha256), hex(signature), source_topic, source_offset FROM batches ORDER BY seq",
    )
    assert found == [
        (chain.agent, n, s.body.decode(), s.sha256.hex().upper(), s.signature.hex().upper(), "topic", n)
        for n, s in enumerate((first, second))
    ]


def test_a_batch_that_comes_again_is_there_once(ledger: Ledger) -> None:
    sealed = Chain().seal(meter(5))
    take(ledger, [sealed])
    take(ledger, [sealed, sealed])
    assert asked(ledger, "SELECT count() FROM batches FINAL") == [1]


AS_SIGNED = f"SELECT toUnixTimestamp64Nano(at), run_id, {', '.join(COLUMNS[2:])} FROM readings"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches())
def test_every_number_that_an_agent_signed_can_be_read_from_the_evidence(
    ledger: Ledger, store: Store, sent: Batch
) -> None:
    empty(store)
    item = evidence(seal(sent, KEY), "evidence is shown whether it counts or not, and from any year")
    ledger.record([item])
    found = [tuple(row) for row in ledger.query(AS_SIGNED).rows]
    assert Counter(found) == Counter(tuple(row) for row in sent.readings.rows())


def test_the_last_inventory_that_an_agent_sent_holds(ledger: Ledger) -> None:
    chain = Chain()
    old, new = (DeviceRecord("GPU-9", "gpu", name, None, 132, None, None, None, "gpm", 2**100) for name in ("a", "b"))
    earlier = chain.seal(devices=(old,), sealed_at_ns=NOW_NS)
    take(ledger, [chain.seal(devices=(new,), sealed_at_ns=NOW_NS + 1)])
    take(ledger, [earlier])
    assert asked(ledger, "SELECT device, name, flop_per_s_max FROM devices FINAL") == [("GPU-9", "b", 2**100)]


def test_the_curve_keeps_the_highest_reading_of_each_meter_and_hour(ledger: Ledger) -> None:
    hour_ns = NOW_NS // HOUR_NS * HOUR_NS
    chain = Chain()
    rows = [(0, 1), (59, 5), (60, 6), (61, 8), (200, 9)]
    sealed = [chain.seal(meter(flop, at_ns=hour_ns + minute * 60 * 10**9)) for minute, flop in rows]
    take(ledger, sealed[2:])
    take(ledger, sealed[:2])
    found = ledger.query("SELECT intDiv(toUnixTimestamp(hour), 3600), max(flop) FROM curve GROUP BY hour ORDER BY hour")
    first = hour_ns // HOUR_NS
    assert [tuple(row) for row in found.rows] == [(first, 5), (first + 1, 8), (first + 3, 9)]


def test_a_meter_that_was_silent_for_an_hour_stands_where_it_stood_before(ledger: Ledger) -> None:
    hour_ns = NOW_NS // HOUR_NS * HOUR_NS
    chain = Chain()
    rows = [("a", 0, 5), ("b", 0, 100), ("b", 1, 200), ("b", 3, 400), ("a", 3, 9)]
    take(ledger, [chain.seal(*(meter(f, device=d, at_ns=hour_ns + h * HOUR_NS) for d, h, f in rows))])
    found = ledger.query(
        "SELECT h, sum(f) FROM (SELECT h, meter_id, max(flop) AS f FROM curve AS c "
        "CROSS JOIN (SELECT DISTINCT hour AS h FROM curve) AS hours WHERE c.hour <= h GROUP BY h, meter_id) "
        "GROUP BY h ORDER BY h"
    )
    assert [row[1] for row in found.rows] == [105, 205, 409]


def test_no_value_is_taken_for_another_on_its_way_into_the_engine() -> None:
    row: dict[str, list[Any]] = {"run": ["r"], "basis": ["hardware"], "meter_id": [1], "hour": [0]}
    good: dict[str, list[Any]] = {**row, "flop": [None], "flop_low": [0], "flop_high": [MOST], "tokens": [None]}
    assert to_table(CURVE, good).num_rows == 1
    for name, wrong in (("flop_low", None), ("run", None), ("meter_id", None)):
        with pytest.raises(pa.ArrowInvalid, match=name):
            to_table(CURVE, {**good, name: [wrong]})
    for name, too_large in (("flop_high", MOST + 1), ("flop_low", -1), ("tokens", -1), ("tokens", 2**64)):
        with pytest.raises(OverflowError):
            to_table(CURVE, {**good, name: [too_large]})


def test_a_statement_that_the_engine_refuses_is_refused_in_one_line(store: Store) -> None:
    with pytest.raises(Refused, match="UNKNOWN") as caught:
        store.query("SELECT nothing FROM nowhere")
    assert "\n" not in str(caught.value)


def test_a_result_that_is_too_large_is_refused_and_never_cut_short(store: Store) -> None:
    with pytest.raises(Refused, match="Limit for result exceeded"):
        store.query("SELECT number FROM numbers(1000001)")
