"""However batches reach the ledger, its totals are what the agents counted."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, empty, meter, take
from tests.ledger.engine import Clock, opened
from wire.batch import KEY_COLUMNS, UNATTRIBUTED, Reading

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store
    from wire.seal import Sealed

STEPS = st.integers(0, 3) | st.integers(0, 2**122)
STEPS_NS = st.integers(0, 2 * HOUR_NS // 1_000).map(lambda micros: micros * 1_000)
METERS = st.sampled_from(
    [
        {"run": run, "device": device, "basis": basis, "method": method}
        for run in ("one", "two", UNATTRIBUTED)
        for device in ("GPU-1", "GPU-2")
        for basis, method in (
            *(("hardware", method) for method in ("gpm-cycles", "gpm", "busy")),
            *(("architecture", method) for method in ("reported-rank", "reported-run")),
        )
    ]
)
RUN_COLUMNS = (
    "run_id",
    "basis",
    *("flop", "flop_low", "flop_high", "tokens", "observed_ns"),
    *("devices", "meters", "methods", "first_at", "last_at"),
)


@dataclass
class Fleet:
    """Some agents with all that they ever sealed, and where their meters stood after each batch."""

    sealed: list[Sealed] = field(default_factory=list)
    readings: list[tuple[object, Reading]] = field(default_factory=list)
    """With the incarnation that each was read in, in order."""

    @property
    def last(self) -> dict[tuple[Any, ...], Reading]:
        """Every meter's last reading, by its key."""
        return {(life, *(getattr(r, name) for name in KEY_COLUMNS)): r for life, r in self.readings}


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    fleet = Fleet()
    for number in range(draw(st.integers(1, 3))):
        chain, at_ns = Chain(number), NOW_NS
        stands: dict[str, Reading] = {}
        keys = draw(st.lists(METERS, min_size=1, max_size=4, unique_by=str))
        for _ in range(draw(st.integers(1, 4))):
            if draw(st.integers(0, 4)) == 0:
                chain.restart()
                stands.clear()
            rows = []
            for key in draw(st.lists(st.sampled_from(keys), min_size=1, max_size=5)):
                at_ns += draw(STEPS_NS)
                stands[str(key)] = _moved(draw, stands.get(str(key)), key, at_ns)
                rows.append(stands[str(key)])
            fleet.sealed.append(chain.seal(*rows))
            fleet.readings += [(chain.incarnation, r) for r in rows]
    return fleet


def _moved(draw: st.DrawFn, before: Reading | None, key: dict[str, str], at_ns: int) -> Reading:
    low, flop, high = sorted((draw(STEPS), draw(STEPS), draw(STEPS)))
    old = before or meter(0, observed_ns=0, **key)
    bounds_only = key["method"] == "busy"
    return old._replace(
        at_ns=at_ns,
        flop=None if bounds_only else (old.flop or 0) + flop,
        flop_low=old.flop_low + low,
        flop_high=old.flop_high + high,
        observed_ns=(old.observed_ns or 0) + draw(st.integers(0, 2**58)),
        tokens=None if bounds_only else (old.tokens or 0) + draw(st.integers(0, 5)),
    )


@st.composite
def deliveries(draw: st.DrawFn, sealed: list[Sealed]) -> list[list[Sealed]]:
    """Polls that hand out every batch at least once: in any order, any number of times, split anyhow."""
    order = draw(st.permutations(range(len(sealed))))
    again = draw(st.lists(st.integers(0, len(sealed) - 1), max_size=6))
    handed_out = [sealed[n] for n in (*order, *again)]
    cuts = sorted(draw(st.lists(st.integers(0, len(handed_out)), max_size=3)))
    return [handed_out[a:b] for a, b in zip([0, *cuts], [*cuts, len(handed_out)], strict=True) if a < b]


def counted(fleet: Fleet) -> list[tuple[Any, ...]]:
    """What `run_totals` must say, worked out without a database."""
    first: dict[tuple[Any, ...], int] = {}
    for life, r in fleet.readings:
        first.setdefault((life, *(getattr(r, name) for name in KEY_COLUMNS)), r.at_ns)
    by_run: dict[tuple[str, str], dict[str, list[tuple[int, Reading]]]] = defaultdict(lambda: defaultdict(list))
    for key, r in fleet.last.items():
        if r.run != UNATTRIBUTED:
            by_run[r.run, r.basis][r.method].append((first[key], r))
    return sorted(_row(*run, methods) for run, methods in by_run.items())


def _row(run: str, basis: str, methods: dict[str, list[tuple[int, Reading]]]) -> tuple[Any, ...]:
    meters = [item for rows in methods.values() for item in rows]
    # Each rank's report and the whole run's are two accounts of the same work; ways of measuring are not.
    across = sum if basis == "hardware" else max
    points = {method: [r.flop_low if r.flop is None else r.flop for _, r in rows] for method, rows in methods.items()}
    flop = across(map(sum, points.values())) if any(r.flop is not None for _, r in meters) else None
    low = across(sum(r.flop_low for _, r in rows) for rows in methods.values())
    high = across(sum(r.flop_high for _, r in rows) for rows in methods.values())
    tokens = [sum(r.tokens or 0 for _, r in rows) for m, rows in methods.items() if m != "busy"]
    return (
        *(run, basis, flop, low, high),
        across(tokens) if tokens else None,
        sum(r.observed_ns or 0 for _, r in meters),
        *(len({r.device for _, r in meters}), len(meters), sorted(methods)),
        _at(min(at_ns for at_ns, _ in meters)),
        _at(max(r.at_ns for _, r in meters)),
    )


def _at(at_ns: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_ns // 1_000)


def stands(ledger: Ledger) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, ledger.query(f"SELECT {', '.join(RUN_COLUMNS)} FROM run_totals").rows))


def curve(ledger: Ledger) -> list[tuple[Any, ...]]:
    rows = ledger.query(
        "SELECT run, intDiv(toUnixTimestamp(hour), 3600), max(flop), max(flop_low), max(flop_high) FROM curve "
        "GROUP BY run, basis, meter_id, hour"
    ).rows
    return sorted(map(tuple, rows), key=str)


def drawn(fleet: Fleet) -> list[tuple[Any, ...]]:
    """What the curve must hold: each meter's last reading in each hour."""
    last = {(life, *r[1:8], r.at_ns // HOUR_NS): r for life, r in fleet.readings}
    return sorted(((r.run, r.at_ns // HOUR_NS, r.flop, r.flop_low, r.flop_high) for r in last.values()), key=str)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_order_any_repetition_and_any_cut_into_polls_give_the_same_totals(
    engine: Store, data: st.DataObject
) -> None:
    fleet = data.draw(fleets())
    empty(engine)
    ledger = opened(engine, Clock())
    for poll in data.draw(deliveries(fleet.sealed)):
        assert take(ledger, poll) == [None] * len(poll)
        if data.draw(st.booleans()):
            ledger = opened(engine, Clock())
    assert stands(ledger) == counted(fleet)
    assert curve(ledger) == drawn(fleet)
    take(ledger, fleet.sealed)
    assert stands(ledger) == counted(fleet)


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_a_batch_that_never_came_costs_nothing_once_a_later_one_has(engine: Store, data: st.DataObject) -> None:
    chain = Chain()
    key = data.draw(METERS.filter(lambda key: key["run"] != UNATTRIBUTED and key["method"] != "busy"))
    steps = data.draw(st.lists(STEPS, min_size=2, max_size=6))
    flop = [sum(steps[: n + 1]) for n in range(len(steps))]
    sealed = [chain.seal(meter(value, at_ns=NOW_NS + n, **key)) for n, value in enumerate(flop)]
    empty(engine)
    ledger = opened(engine, Clock())
    take(ledger, [*data.draw(st.lists(st.sampled_from(sealed), max_size=3)), sealed[-1]])
    assert [row[2] for row in stands(ledger)] == [flop[-1]]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=5))
def test_sums_are_exact_for_any_meters(engine: Store, flop: list[int]) -> None:
    empty(engine)
    ledger = opened(engine, Clock())
    take(ledger, [Chain().seal(*(meter(value, device=f"{n}") for n, value in enumerate(flop)))])
    assert [row[2] for row in stands(ledger)] == [sum(flop)]
