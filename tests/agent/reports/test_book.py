from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reports.book import FORGET_AFTER_NS, MAX_TOTAL, ReportBook, Reported
from agent.reports.instruments import COMPUTE, TOKENS
from agent.reports.refusal import Refusals
from tests.agent.reports.exports import RUN, START_NS, compute, export, point, tokens

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    Process = list[ExportMetricsServiceRequest]

NOTHING = Refusals(0, "")
SECOND_NS = 1_000_000_000


class Clock:
    """Far enough ahead that no report lies in the future, until told otherwise."""

    def __init__(self) -> None:
        self.at_ns = START_NS + 1_000_000 * SECOND_NS

    def __call__(self) -> int:
        return self.at_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> ReportBook:
    return ReportBook("node", clock)


def taken(book: ReportBook) -> list[Reported]:
    return book.take()[0]


def flop(book: ReportBook) -> int:
    return sum(reported.flop for reported in taken(book))


def test_the_first_value_of_a_stream_counts_whole(book: ReportBook) -> None:
    assert book.accept(export(compute(point(7)))) == NOTHING
    assert flop(book) == 7


def test_what_was_taken_is_not_taken_again(book: ReportBook) -> None:
    book.accept(export(compute(point(7))))
    assert flop(book) == 7
    assert taken(book) == []
    book.accept(export(compute(point(9, at_s=2))))
    assert flop(book) == 2


def test_compute_and_tokens_of_one_key_are_one_report(book: ReportBook) -> None:
    book.accept(export(compute(point(7)), tokens(point(3))))
    [reported] = taken(book)
    assert (reported.flop, reported.tokens, reported.observed_ns) == (7, 3, SECOND_NS)


def test_without_a_token_counter_tokens_are_unknown(book: ReportBook) -> None:
    book.accept(export(compute(point(7))))
    assert taken(book)[0].tokens is None


def test_tokens_alone_add_no_flop(book: ReportBook) -> None:
    book.accept(export(tokens(point(3))))
    [reported] = taken(book)
    assert (reported.flop, reported.flop_low, reported.flop_high, reported.tokens) == (0, 0, 0, 3)


def test_a_repeated_or_late_export_adds_nothing_and_is_not_refused(book: ReportBook) -> None:
    early, late = export(compute(point(7, at_s=1))), export(compute(point(9, at_s=2)))
    for request in (early, late, late, early):
        assert book.accept(request) == NOTHING
    assert flop(book) == 9


def test_a_counter_that_goes_back_is_refused(book: ReportBook) -> None:
    book.accept(export(compute(point(9, at_s=1))))
    refusals = book.accept(export(compute(point(7, at_s=2))))
    assert refusals.rejected == 1
    assert "went back" in refusals.message
    assert flop(book) == 9


def test_a_new_start_counts_from_zero(book: ReportBook) -> None:
    book.accept(export(compute(point(9, at_s=1))))
    assert book.accept(export(compute(point(7, start_ns=START_NS + 1)))) == NOTHING
    assert flop(book) == 16


def test_refused_points_do_not_hold_up_the_others(book: ReportBook) -> None:
    refusals = book.accept(export(compute(point(5), point(-1, own={"phase": "b"})), tokens(point(3))))
    assert refusals.rejected == 1
    [reported] = taken(book)
    assert (reported.flop, reported.tokens) == (5, 3)


def test_scopes_are_kept_apart(book: ReportBook) -> None:
    whole = point(70, own={"flopledger.scope": "run"})
    book.accept(export(compute(point(7), whole)))
    assert {r.key.method: r.flop for r in taken(book)} == {"reported-rank": 7, "reported-run": 70}


def test_a_forked_child_does_not_count_its_parent_again(book: ReportBook) -> None:
    child = RUN | {"service.instance.id": "child"}
    book.accept(export(compute(point(7, at_s=1))))
    book.accept(export(compute(point(8, at_s=2)), resource=child))
    book.accept(export(compute(point(9, at_s=3))))
    assert "fork" in book.accept(export(compute(point(8, at_s=4)), resource=child)).message
    [reported] = taken(book)
    assert (reported.flop, reported.key.reporter) == (9, "reporter:p1")


def test_overlapping_streams_of_one_reporter_cover_time_once(book: ReportBook) -> None:
    forward, backward = point(1, at_s=10), point(1, at_s=20, start_ns=START_NS + 5 * SECOND_NS, own={"phase": "b"})
    book.accept(export(compute(forward, backward)))
    assert taken(book)[0].observed_ns == 25 * SECOND_NS
    book.accept(export(compute(point(1, at_s=30))))
    assert taken(book)[0].observed_ns == 5 * SECOND_NS


def test_time_that_has_not_passed_is_not_covered(book: ReportBook, clock: Clock) -> None:
    clock.at_ns = START_NS + 5 * SECOND_NS
    book.accept(export(compute(point(7, at_s=500))))
    assert taken(book)[0].observed_ns == 5 * SECOND_NS


def test_a_clock_before_the_start_covers_nothing(book: ReportBook, clock: Clock) -> None:
    clock.at_ns = START_NS - SECOND_NS
    book.accept(export(compute(point(7, at_s=500))))
    assert (taken(book)[0].flop, taken(book)) == (7, [])


@pytest.mark.parametrize("metric", [COMPUTE, TOKENS])
def test_more_than_a_reading_can_hold_is_refused(book: ReportBook, metric: str) -> None:
    make, most = (compute, MAX_TOTAL[COMPUTE]) if metric == COMPUTE else (tokens, MAX_TOTAL[TOKENS])
    halves = [point(float(most // 2 - most // 100), own={"n": n}) for n in range(3)]
    refusals = book.accept(export(make(*halves)))
    assert refusals.rejected == 1
    assert "unit" in refusals.message


def test_too_many_streams_are_refused(clock: Clock) -> None:
    book = ReportBook("node", clock, max_streams=2)
    refusals = book.accept(export(compute(*(point(1, own={"n": n}) for n in range(3)))))
    assert refusals.rejected == 1
    assert "2 streams" in refusals.message
    assert flop(book) == 2


def forgetful(clock: Clock) -> ReportBook:
    """A book that knew three streams, with only the last to start still heard of a day later."""
    book = ReportBook("node", clock, kept_streams=1)
    for n in range(3):
        book.accept(export(compute(point(100, start_ns=START_NS + n))))
    book.take()
    clock.at_ns += FORGET_AFTER_NS + 1
    book.accept(export(compute(point(101, at_s=2, start_ns=START_NS + 2))))
    book.take()
    return book


def test_a_forgotten_stream_that_comes_back_is_refused_not_counted_twice(clock: Clock) -> None:
    book = forgetful(clock)
    refusals = book.accept(export(compute(point(150, at_s=3, start_ns=START_NS + 1))))
    assert refusals.rejected == 1
    assert "forgotten" in refusals.message
    assert flop(book) == 0


def test_a_stream_still_heard_of_goes_on_and_a_later_one_is_welcome(clock: Clock) -> None:
    book = forgetful(clock)
    assert book.accept(export(compute(point(110, at_s=3, start_ns=START_NS + 2)))) == NOTHING
    assert book.accept(export(compute(point(5, start_ns=START_NS + 3)))) == NOTHING
    assert flop(book) == 9 + 5


def test_time_is_covered_on_after_other_streams_of_the_key_are_forgotten(clock: Clock) -> None:
    book = forgetful(clock)
    book.accept(export(compute(point(102, at_s=100, start_ns=START_NS + 2))))
    assert taken(book)[0].observed_ns == 98 * SECOND_NS


def test_the_horizon_outlives_a_restart(clock: Clock) -> None:
    again = ReportBook("node", clock)
    again.restore(forgetful(clock).state())
    assert again.accept(export(compute(point(150, at_s=3)))).rejected == 1


def test_a_stream_that_starts_in_the_future_is_not_forgotten(clock: Clock) -> None:
    book = ReportBook("node", clock, kept_streams=0)
    ahead = export(compute(point(5, start_ns=clock.at_ns + 10 * FORGET_AFTER_NS)))
    book.accept(ahead)
    clock.at_ns += 2 * FORGET_AFTER_NS
    assert flop(book) == 5
    assert book.accept(ahead) == NOTHING
    assert flop(book) == 0


def test_a_key_is_dropped_with_its_last_stream(clock: Clock) -> None:
    book = ReportBook("node", clock, kept_streams=0)
    book.accept(export(compute(point(5))))
    clock.at_ns += FORGET_AFTER_NS + 1
    assert flop(book) == 5
    assert book.state()["meters"] == []


def test_what_was_not_taken_is_in_the_state(book: ReportBook, clock: Clock) -> None:
    book.accept(export(compute(point(0.3, at_s=5), unit="PFLOP"), tokens(point(3))))
    again = ReportBook("node", clock)
    again.restore(orjson.loads(orjson.dumps(book.state())))
    assert again.state() == book.state()
    assert taken(again) == taken(book)


def test_a_state_of_another_schema_is_refused(book: ReportBook) -> None:
    with pytest.raises(ValueError, match=r"flopledger\.reports/1"):
        book.restore({"schema": "flopledger.reports/9"})


class Ledger:
    """An agent that stores what it takes and the state in one transaction, and can crash in between."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.book = ReportBook("node", self.clock)
        self.stored: bytes | None = None
        self.reported: list[Reported] = []

    def store(self) -> None:
        reported, state = self.book.take()
        self.stored = orjson.dumps(state)
        self.reported += reported

    def crash(self) -> None:
        self.book = ReportBook("node", self.clock)
        if self.stored is not None:
            self.book.restore(orjson.loads(self.stored))


@st.composite
def processes(draw: st.DrawFn) -> tuple[list[Process], list[int], int]:
    """Every export of some processes, in the order they were made; their final FLOP; the tokens of all."""
    made: list[Process] = []
    final: list[int] = []
    all_tokens = 0
    for n in range(draw(st.integers(1, 3))):
        resource = RUN | {"flopledger.run.id": f"r{draw(st.integers(0, 1))}", "service.instance.id": f"p{n}"}
        steps = draw(st.lists(st.integers(0, 2**58), min_size=1, max_size=5))
        start_ns = START_NS + n
        made.append(
            [
                export(
                    compute(point(sum(steps[: k + 1]), at_s=k + 1, start_ns=start_ns), unit="GFLOP"),
                    tokens(point(k + 1, at_s=k + 1, start_ns=start_ns)),
                    resource=resource,
                )
                for k in range(len(steps))
            ]
        )
        final.append(sum(steps) * 10**9)
        all_tokens += len(steps)
    return made, final, all_tokens


@given(st.data(), processes())
def test_any_order_any_repetition_and_any_crash_give_the_exact_total(
    data: st.DataObject, given_processes: tuple[list[Process], list[int], int]
) -> None:
    made, final, all_tokens = given_processes
    exports = [request for process in made for request in process]
    actions: list[Any] = data.draw(st.lists(st.sampled_from([*exports, "store", "crash"]), max_size=30))
    ledger = Ledger()
    for action in actions:
        if action == "store":
            ledger.store()
        elif action == "crash":
            ledger.crash()
        else:
            assert ledger.book.accept(action) == NOTHING
    for process in made:
        assert ledger.book.accept(process[-1]) == NOTHING
    ledger.store()
    assert sum(r.flop for r in ledger.reported) == sum(final)
    assert sum(r.flop_low for r in ledger.reported) == sum(r.flop_high for r in ledger.reported) == sum(final)
    assert sum(r.tokens or 0 for r in ledger.reported) == all_tokens
    assert sum(r.observed_ns for r in ledger.reported) == sum(len(process) for process in made) * SECOND_NS


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=8), st.lists(st.booleans(), max_size=8))
def test_growths_of_doubles_are_in_order_and_end_at_the_last_value(steps: list[float], crashes: list[bool]) -> None:
    ledger = Ledger()
    for n, value in enumerate(sorted(steps)):
        ledger.book.accept(export(compute(point(value, at_s=n + 1), unit="PFLOP")))
        if n < len(crashes):
            ledger.crash() if crashes[n] else ledger.store()
    ledger.book.accept(export(compute(point(max(steps), at_s=len(steps) + 1), unit="PFLOP")))
    ledger.store()
    assert all(0 <= r.flop_low <= r.flop <= r.flop_high for r in ledger.reported)
    exact = ReportBook("node", Clock())
    exact.accept(export(compute(point(max(steps)), unit="PFLOP")))
    [direct] = taken(exact)
    assert sum(r.flop for r in ledger.reported) == direct.flop
    assert sum(r.flop_low for r in ledger.reported) <= direct.flop_low
    assert sum(r.flop_high for r in ledger.reported) >= direct.flop_high
