"""What is computed ahead says what the meters and the curve say, in whatever order and pieces it was refreshed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.questions import QUESTIONS
from ledger.rollups import Rollups, derive
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, empty, evidence, meter
from tests.ledger.engine import Clock, opened

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store
    from wire.seal import Sealed

REPORTED: dict[str, Any] = {"basis": "architecture", "device": "rank-0"}
HOUR_S = 3_600


def record(ledger: Ledger, sealed: Sealed) -> None:
    item = [evidence(sealed)]
    assert ledger.collisions(item) == [None]
    ledger.record(item)


def curve(store: Store, basis: str = "hardware") -> list[tuple[int, int]]:
    rows = store.query(f"SELECT hour, flop FROM run_hours WHERE run_id = 'r' AND basis = '{basis}' ORDER BY hour").rows
    return [((int(hour.timestamp()) - NOW_NS // 10**9 // HOUR_S * HOUR_S) // HOUR_S, flop) for hour, flop in rows]


def at(hour: int, flop: int | None, **changes: Any) -> Any:
    bounds = (flop, flop) if flop is not None else (1, 9)
    return meter(flop, *bounds, run="r", at_ns=NOW_NS + hour * HOUR_NS, **changes)


def test_a_meter_that_is_silent_stands_where_it_stood(ledger: Ledger, store: Store) -> None:
    record(ledger, Chain(1).seal(at(0, 10), at(3, 25)))
    record(ledger, Chain(2).seal(at(1, 100)))
    assert Rollups(store).refresh() == ["r"]
    assert curve(store) == [(0, 10), (1, 110), (3, 125)]


def test_nothing_is_read_again_while_nothing_moves(ledger: Ledger, store: Store) -> None:
    record(ledger, Chain(1).seal(at(0, 10)))
    assert [Rollups(store).refresh() for _ in range(3)] == [["r"], [], []]


def test_what_a_rebuild_takes_out_does_not_stay_in_the_curve(ledger: Ledger, store: Store) -> None:
    record(ledger, Chain(1).seal(at(0, 10)))
    record(ledger, Chain(2).seal(at(1, 100)))
    Rollups(store).refresh()
    for table in ("meters", "curve"):
        store.command(f"TRUNCATE TABLE {table}")
    record(opened(store, Clock()), Chain(1).seal(at(0, 10)))
    assert Rollups(store).refresh() == ["r"]
    assert curve(store) == [(0, 10)]
    assert store.query("SELECT count() FROM run_devices FINAL").rows == [(1,)]


def test_of_two_ways_to_report_the_larger_stands(ledger: Ledger, store: Store) -> None:
    record(
        ledger,
        Chain(1).seal(at(0, 10, method="reported-rank", **REPORTED), at(2, 30, method="reported-run", **REPORTED)),
    )
    record(ledger, Chain(2).seal(at(1, 15, method="reported-rank", **REPORTED)))
    Rollups(store).refresh()
    assert curve(store, "architecture") == [(0, 10), (1, 25), (2, 30)]


LIVES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100), st.integers(0, 50)), min_size=1, max_size=8)


@settings(max_examples=6, deadline=None)
@given(LIVES, st.sets(st.integers(0, 7)))
def test_refreshed_in_pieces_or_at_once_it_is_the_same(
    engine: Store, steps: list[tuple[int, int, int]], refreshes: set[int]
) -> None:
    """Whatever comes late, days late even: the end of the curve is the total, and the curve that of the evidence."""
    empty(engine)
    ledger = opened(engine, Clock())
    chains = [Chain(number) for number in range(4)]
    standing = [(0, 0)] * 4
    for place, (agent, hours, flop) in enumerate(steps):
        hour, before = standing[agent]
        standing[agent] = (hour + hours, before + flop)
        record(ledger, chains[agent].seal(at(hour + hours, before + flop)))
        if place in refreshes:
            Rollups(engine).refresh()
    Rollups(engine).refresh()
    stored = engine.query(
        "SELECT toUnixTimestamp(hour), max(flop), max(flop_low) FROM run_curve WHERE run = 'r' "
        "GROUP BY hour ORDER BY hour"
    ).rows
    derived = [(hour, point.flop, point.flop_low) for hour, point in derive(engine, "r", 0)]
    total = engine.query("SELECT flop FROM run_totals WHERE run_id = 'r'").rows[0][0]
    assert derived[-1][1] == total == stored[-1][1] == sum(flop for _, flop in standing)
    (parts,) = engine.query("SELECT sum(flop), sum(meters) FROM run_devices FINAL WHERE run = 'r'").rows
    meters = engine.query("SELECT count() FROM meter_totals").rows[0][0]
    assert parts == (total, meters)
    (lives,) = engine.query("SELECT sum(flop), sum(meters) FROM run_incarnations FINAL WHERE run = 'r'").rows
    assert lives == (total, meters)
    # Between late arrivals the stored curve may know of more hours in between, and never of another amount at the end.
    assert [point for point in stored if point in derived][-1] == derived[-1]


def test_every_question_of_the_page_is_answered_by_an_empty_ledger_and_by_one_with_a_run(
    ledger: Ledger, store: Store
) -> None:
    asked = {"run": "r", "basis": "hardware", "before": "2099-01-01 00:00:00"}
    for filled in (False, True):
        if filled:
            record(ledger, Chain(1).seal(at(0, 10), meter(5, run="unattributed", at_ns=NOW_NS)))
            Rollups(store).refresh()
        for name, sql in QUESTIONS.items():
            named = {key: value for key, value in asked.items() if f"{{{key}:" in sql}
            rows = store.query(sql, named).rows
            assert bool(rows) or not filled or name == "fleet by method" or "rate" in name, name
