from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.attribution.interface import RunIdentity
from agent.attribution.share import Share, parts, shares
from agent.devices.interface import Delta, Method, ProcessKey, ProcessUse
from compute.precision import Dtype

A, B = RunIdentity("a"), RunIdentity("b", dtype=Dtype.FP8)
RUNS = {1: A, 2: A, 3: B}
"""Runs by pid; whoever else is on the device names none."""

WEIGHTS = st.lists(st.integers(0, 10**15), min_size=1, max_size=6).filter(any)
USES = st.dictionaries(st.integers(1, 5), st.none() | st.integers(0, 10**12), max_size=5)


def identify(process: ProcessKey) -> RunIdentity | None:
    return RUNS.get(process.pid)


def use(pid: int, busy_ns: int | None = None, started: int = 7) -> ProcessUse:
    return ProcessUse(ProcessKey(pid, started, "boot"), busy_ns)


def uses(busy_ns_of: dict[int, int | None]) -> list[ProcessUse]:
    return [use(pid, busy_ns) for pid, busy_ns in busy_ns_of.items()]


def delta(method: Method = Method.GPM_CYCLES, busy_ns: int | None = None) -> Delta:
    return Delta(0, 10**9, method, 10**9, busy_ns=busy_ns)


def split(before: list[ProcessUse], after: list[ProcessUse], of: Delta | None = None) -> list[Share]:
    return list(shares(of or delta(), before, after, identify))


@given(st.integers(0, 10**30), WEIGHTS)
def test_parts_are_whole_and_sum_to_the_total(total: int, weights: list[int]) -> None:
    cut = parts(total, weights)
    assert sum(cut) == total
    assert len(cut) == len(weights)
    assert all(part >= 0 for part in cut)


@given(st.integers(0, 10**30), WEIGHTS)
def test_no_part_is_a_unit_away_from_its_share(total: int, weights: list[int]) -> None:
    for part, weight in zip(parts(total, weights), weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert weight or not part


def test_a_part_of_one_is_all_of_it_whatever_it_weighs() -> None:
    assert parts(7, [0]) == [7]


@pytest.mark.parametrize("method", [Method.GPM_CYCLES, Method.BUSY, Method.CPU_TIME])
@settings(max_examples=40)
@given(USES, USES, st.integers(0, 10**12))
def test_somebody_always_has_a_share(
    method: Method, before: dict[int, int | None], after: dict[int, int | None], busy_ns: int
) -> None:
    found = split(uses(before), uses(after), delta(method, busy_ns))
    assert found
    assert sum(share.weight for share in found) > 0
    assert all(share.weight >= 0 for share in found)
    assert len({share.run for share in found}) == len(found)


@settings(max_examples=60)
@given(USES, USES, st.integers(0, 10**12))
def test_only_who_was_there_at_both_ends_has_a_share(
    before: dict[int, int | None], after: dict[int, int | None], busy_ns: int
) -> None:
    there = {RUNS.get(pid) for pid in before.keys() & after.keys()}
    for method in (Method.GPM_CYCLES, Method.CPU_TIME):
        assert {share.run for share in split(uses(before), uses(after), delta(method, busy_ns))} <= there | {None}


def test_an_empty_device_is_nobodys() -> None:
    assert split([], []) == [Share(None, "exact", 1)]


def test_a_process_alone_has_all_of_it_exactly() -> None:
    assert split([use(1)], [use(1)]) == [Share(A, "exact", 1)]


def test_processes_of_one_run_share_with_nobody() -> None:
    assert split([use(1), use(2)], [use(1), use(2)]) == [Share(A, "exact", 1)]


def test_a_process_of_no_run_is_nobodys_exactly() -> None:
    assert split([use(9)], [use(9)]) == [Share(None, "exact", 1)]


@pytest.mark.parametrize(
    ("before", "after"), [([use(1)], [use(1), use(3)]), ([use(1), use(3)], [use(1)]), ([use(1), use(9)], [use(1)])]
)
def test_when_others_came_or_went_it_is_less_sure(before: list[ProcessUse], after: list[ProcessUse]) -> None:
    assert split(before, after) == [Share(A, "low", 1)]


@pytest.mark.parametrize(("before", "after"), [([use(1)], []), ([], [use(1)]), ([use(1)], [use(3)])])
def test_nobody_stayed_so_it_is_nobodys(before: list[ProcessUse], after: list[ProcessUse]) -> None:
    assert split(before, after) == [Share(None, "exact", 1)]


def test_a_later_process_with_the_same_pid_is_another() -> None:
    assert split([use(1, started=7)], [use(1, started=8)]) == [Share(None, "exact", 1)]


def test_runs_that_share_a_device_split_it_by_their_own_busy_time() -> None:
    found = split([use(1, 100), use(2, 0), use(3, 50)], [use(1, 130), use(2, 10), use(3, 60)])
    assert {(share.run, share.weight) for share in found} == {(A, 40), (B, 10)}
    assert {share.attribution for share in found} == {"split"}


@pytest.mark.parametrize("busy_ns", [None, 5])
def test_without_busy_times_they_split_it_in_equal_parts(busy_ns: int | None) -> None:
    found = split([use(1, busy_ns), use(3, 5)], [use(1, busy_ns), use(3, 5)])
    assert {(share.run, share.attribution, share.weight) for share in found} == {(A, "low", 1), (B, "low", 1)}


def test_a_busy_time_that_started_anew_weighs_nothing_rather_than_less() -> None:
    found = split([use(1, 100), use(3, 50)], [use(1, 5), use(3, 60)])
    assert {(share.run, share.weight) for share in found} == {(A, 0), (B, 10)}


def test_cpu_time_is_counted_by_process_and_the_rest_is_nobodys() -> None:
    found = split(
        [use(1, 100), use(3, 0), use(9, 0)], [use(1, 400), use(3, 50), use(9, 80)], delta(Method.CPU_TIME, 1_000)
    )
    assert found == [Share(A, "exact", 300), Share(B, "exact", 50), Share(None, "exact", 650)]


def test_cpu_time_that_nobody_claims_is_nobodys_even_when_there_is_none() -> None:
    assert split([use(1, 5)], [use(1, 5)], delta(Method.CPU_TIME, 0)) == [Share(None, "exact", 1)]


def test_a_machine_as_busy_as_its_runs_leaves_nothing_to_nobody() -> None:
    assert split([use(1, 0)], [use(1, 300)], delta(Method.CPU_TIME, 300)) == [Share(A, "exact", 300)]
