"""Totals of models and systems: sets of runs, whatever the graph between them looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.adjustments import append_new, correction
from ledger.catalogue_file import shipped
from ledger.declarations import PURPOSES
from ledger.declare import Wanted, declare
from ledger.errors import Refused
from ledger.lineage import EDGE_KINDS, MAX_DEPTH, Edge, Graph
from ledger.policies import GENERATOR_TRAINING
from tests.ledger.chains import Chain, empty, meter, take
from tests.ledger.engine import Clock, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.ledger import Ledger
    from ledger.store import Store

POLICIES = {policy.id: policy.treatment for policy in shipped().policies}
RANK = {"counted": 0, "disputed": 1, "excluded": 2}
STEPS = {
    "own": {"data": "generator", "teacher": "teacher", "reward": "reward"},
    "weights": {"data": "generator", "teacher": "teacher", "reward": "reward"},
    "generator": dict.fromkeys(EDGE_KINDS, "behind a generator"),
    "teacher": dict.fromkeys(EDGE_KINDS, "behind a teacher"),
}
TRAINING_OF = {
    "generator": GENERATOR_TRAINING,
    "behind a generator": GENERATOR_TRAINING,
    "teacher": "distillation teacher",
    "behind a teacher": "distillation teacher",
    "reward": "reward or value model",
}


@dataclass(frozen=True)
class World:
    """Models 0, 1, …, each made with lower ones only; runs as (model, purpose, FLOP); systems as sets of models."""

    edges: tuple[tuple[int, str, int], ...]
    runs: tuple[tuple[int, str, int], ...]
    system: frozenset[int]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    count = draw(st.integers(1, 6))
    below = [(child, parent) for child in range(count) for parent in range(child)]
    edge = st.tuples(st.sampled_from(below), st.sampled_from(EDGE_KINDS)) if below else st.nothing()
    edges = draw(st.sets(edge, max_size=12)) if below else set()
    run = st.tuples(st.integers(0, count - 1), st.sampled_from(PURPOSES), st.integers(1, 10**26))
    runs = draw(st.lists(run, min_size=1, max_size=8))
    system = draw(st.frozensets(st.integers(0, count - 1), min_size=1))
    return World(tuple((child, kind, parent) for (child, parent), kind in sorted(edges)), tuple(runs), system)


def parts(world: World, start: frozenset[int]) -> set[tuple[int, str]]:
    """Every model behind these, with each part that it plays, by walking every path."""
    found: set[tuple[int, str]] = set()
    todo = [(model, "own") for model in start]
    while todo:
        place = todo.pop()
        if place not in found:
            found.add(place)
            model, part = place
            steps = STEPS.get(part)
            todo += [
                (parent, part if steps is None else steps.get(kind, "weights"))
                for child, kind, parent in world.edges
                if child == model
            ]
    return found


def expected(world: World, start: frozenset[int], policy: str) -> dict[str, int]:
    sums = dict.fromkeys(RANK, 0)
    reached = parts(world, start)
    for model, purpose, flop in world.runs:
        uses = {
            purpose
            if part in {"own", "weights"}
            or (part in {"generator", "teacher"} and purpose in {"synthetic data", "public synthetic data"})
            else TRAINING_OF[part]
            for known, part in reached
            if known == model
        }
        if uses:
            sums[min((POLICIES[policy][use] for use in uses), key=RANK.__getitem__)] += flop
    return sums


def put(ledger: Ledger, world: World, order: Sequence[int] = ()) -> None:
    """On record, the declarations in any order."""
    ledger.publish_catalogue()
    models: dict[str, dict[str, list[str]]] = {}
    for child, kind, parent in world.edges:
        models.setdefault(f"m{child}", {}).setdefault(kind, []).append(f"m{parent}")
    runs = {f"r{n}": {"model_id": f"m{model}", "purpose": purpose} for n, (model, purpose, _) in enumerate(world.runs)}
    wanted = [
        *(Wanted(models={name: changes}) for name, changes in models.items()),
        *(Wanted(runs={name: changes}) for name, changes in runs.items()),
        Wanted(systems={"s": frozenset(f"m{model}" for model in world.system)}),
    ]
    for n in sorted(range(len(wanted)), key=lambda n: (order[n % len(order)], n) if order else n):
        declare(ledger, wanted[n], "me")
    take(ledger, [Chain().seal(*(meter(flop, run=f"r{n}") for n, (_, _, flop) in enumerate(world.runs)))])


def totals(ledger: Ledger, view: str) -> dict[tuple[str, str], dict[str, int]]:
    rows = ledger.query(f"SELECT *, {view.split('_', maxsplit=1)[0]}_id AS name FROM {view}").dicts()
    return {
        (row["name"], row["policy"]): {
            "counted": row["flop"],
            "disputed": row["disputed_flop"],
            "excluded": row["excluded_flop"],
        }
        for row in rows
    }


@settings(max_examples=8, deadline=None)
@given(worlds(), st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_a_total_is_the_sum_over_the_runs_behind_it_whatever_the_paths_and_the_order(
    engine: Store, world: World, order: list[int]
) -> None:
    empty(engine)
    ledger = opened(engine, Clock())
    put(ledger, world, order)
    found = totals(ledger, "model_totals")
    for model in {model for model, _, _ in world.runs} | {child for child, _, _ in world.edges}:
        for policy in POLICIES:
            sums = expected(world, frozenset({model}), policy)
            assert found.get((f"m{model}", policy), dict.fromkeys(RANK, 0)) == sums, (model, policy)
            assert sum(sums.values()) == expected(world, frozenset({model}), "everything")["counted"]
    for (name, policy), sums in totals(ledger, "system_totals").items():
        assert sums == expected(world, world.system, policy), (name, policy)


def test_a_ladder_of_diamonds_with_a_million_paths_counts_each_run_once(ledger: Ledger) -> None:
    edges = [
        (child, "base", parent)
        for rung in range(20)
        for child in (2 * rung + 2, 2 * rung + 3)
        for parent in (2 * rung, 2 * rung + 1)
    ]
    put(ledger, World(tuple(edges), tuple((model, "pre-training", 1) for model in range(42)), frozenset({41})))
    found = totals(ledger, "model_totals")
    assert found["m41", "eu-cumulative"]["counted"] == 41
    assert found["m0", "eu-cumulative"]["counted"] == 1


def story(ledger: Ledger, **runs: tuple[str, int]) -> None:
    """One model `m` with a run per name, of this purpose and FLOP."""
    put(ledger, World((), tuple((0, purpose, flop) for purpose, flop in runs.values()), frozenset({0})))


@pytest.mark.parametrize(
    ("purpose", "cumulative", "updating"),
    [
        ("pre-training", "counted", "counted"),
        ("reinforcement learning", "counted", "counted"),
        ("rl rollouts", "counted", "disputed"),
        ("synthetic data", "counted", "excluded"),
        ("public synthetic data", "excluded", "excluded"),
        ("distillation teacher", "excluded", "excluded"),
        ("reward or value model", "excluded", "excluded"),
        ("evaluation", "excluded", "excluded"),
        ("experiment", "excluded", "excluded"),
        ("failed segment", "disputed", "disputed"),
    ],
)
def test_the_two_totals_of_the_commission_s_guidelines(purpose: str, cumulative: str, updating: str) -> None:
    assert POLICIES["eu-cumulative"][purpose] == cumulative
    assert POLICIES["eu-parameter-updating"][purpose] == updating


def test_a_generation_run_counts_with_the_samples_that_were_thrown_away(ledger: Ledger) -> None:
    """A hundred samples made and ten kept: what was executed counts, which is all hundred."""
    story(ledger, train=("pre-training", 10**24), generate=("synthetic data", 100 * 10**21))
    assert totals(ledger, "model_totals")["m0", "eu-cumulative"]["counted"] == 10**24 + 100 * 10**21


def test_of_a_generator_and_a_teacher_only_the_samples_that_they_wrote_count(ledger: Ledger) -> None:
    runs = (
        (2, "pre-training", 1),
        (1, "pre-training", 10),
        (1, "synthetic data", 100),
        (0, "pre-training", 1_000),
        (0, "public synthetic data", 10_000),
    )
    put(ledger, World(((2, "data", 1), (2, "teacher", 0)), runs, frozenset({0, 1, 2})))
    found = totals(ledger, "model_totals")["m2", "eu-cumulative"]
    assert found == {"counted": 101, "disputed": 10, "excluded": 11_000}
    assert totals(ledger, "system_totals")["s", "eu-cumulative"] == {
        "counted": 1_111,
        "disputed": 0,
        "excluded": 10_000,
    }


def test_a_run_that_continues_another_brings_what_is_behind_it_and_no_more(ledger: Ledger) -> None:
    put(ledger, World((), ((0, "pre-training", 1), (0, "fine-tuning", 10), (1, "fine-tuning", 100)), frozenset({1})))
    declare(ledger, Wanted(runs={"r2": {"parent": "r0"}}), "me")
    assert totals(ledger, "model_totals")["m1", "eu-cumulative"]["counted"] == 101
    assert totals(ledger, "model_totals")["m0", "eu-cumulative"]["counted"] == 11


def purposes(ledger: Ledger) -> dict[str, int]:
    rows = ledger.query(
        "SELECT purpose, sum(flop_low) FROM account_parts_at(until = '2106-01-01 00:00:00') AS p GROUP BY purpose"
    ).rows
    return dict(map(tuple, rows))


def test_without_a_declared_purpose_the_readings_speak_and_a_declared_one_holds_for_all(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(1), meter(10, purpose="evaluation"))])
    assert purposes(ledger) == {"pre-training": 1, "evaluation": 10}
    declare(ledger, Wanted(runs={"r": {"purpose": "failed segment"}}), "me")
    assert purposes(ledger) == {"failed segment": 11}
    append_new(ledger, [correction("r", 100, 100, 100, "why", purpose="experiment")], "me")
    assert purposes(ledger) == {"failed segment": 11, "experiment": 100}


def test_a_purpose_that_nobody_knows_counts(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    take(ledger, [Chain().seal(meter(7, purpose="trainng"))])
    rows = ledger.query("SELECT policy, flop FROM subject_totals_at(until = '2106-01-01 00:00:00') AS t").rows
    assert dict(map(tuple, rows)) == dict.fromkeys(POLICIES, 7)


def test_an_account_shows_what_was_measured_imported_and_corrected_side_by_side(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(1_000, 900, 1_100), meter(50, basis="architecture", method="reported-run"))])
    append_new(ledger, [correction("r", -100, -120, -80, "counted twice")], "me")
    rows = ledger.query("SELECT * FROM run_accounts ORDER BY basis DESC").dicts()
    assert [
        [row[name] for name in ("basis", "measured_flop", "imported_flop", "corrected_flop", "flop_low", "flop_high")]
        for row in rows
    ] == [["hardware", 1_000, None, -100, 780, 1_020], ["architecture", 50, None, None, 50, 50]]
    assert [row["flop"] for row in rows] == [900, 50]
    measured = ledger.query("SELECT flop, flop_low, flop_high FROM run_totals ORDER BY basis DESC").rows
    assert [tuple(row) for row in measured] == [
        tuple(row[f"measured_flop{end}"] for end in ("", "_low", "_high")) for row in rows
    ]


def test_bounds_alone_leave_the_point_open_all_the_way_up(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    declare(ledger, Wanted(runs={"r": {"model_id": "m"}}), "me")
    take(ledger, [Chain().seal(meter(None, 0, 5, method="busy"))])
    (row,) = ledger.query("SELECT * FROM model_totals WHERE policy = 'everything'").dicts()
    assert (row["flop"], row["flop_low"], row["flop_high"]) == (None, 0, 5)


def test_a_total_names_the_models_in_it_of_which_nothing_is_on_record(ledger: Ledger) -> None:
    put(ledger, World(((1, "base", 0),), ((1, "fine-tuning", 5),), frozenset({1})))
    (row,) = ledger.query("SELECT * FROM model_totals WHERE policy = 'everything'").dicts()
    assert (row["flop"], row["unknown_models"]) == (5, ["m0"])


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (Wanted(models={"a": {"base": ["a"]}}), "a model cannot be behind itself: a → a"),
        (
            Wanted(models={"a": {"base": ["b"]}, "b": {"teacher": ["c"]}, "c": {"data": ["a"]}}),
            "a model cannot be behind itself: a → b → c → a",
        ),
        (Wanted(runs={"x": {"parent": "y"}, "y": {"parent": "x"}}), "a run cannot be behind itself: x → y → x"),
        (Wanted(runs={"x": {"purpose": "training"}}), "purpose 'training' is none of: pre-training, "),
        (Wanted(models={"a": {"traits": ["magic"]}}), "model a: trait 'magic' is none of: systemic-risk, "),
        (Wanted(models={"a" * 513: {"base": ["b"]}}), "the name of a model has 1 to 512 characters"),
        (Wanted(systems={"s": frozenset({""})}), "the name of a model has 1 to 512 characters"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(ledger: Ledger, wanted: Wanted, sentence: str) -> None:
    declare(ledger, Wanted(models={"z": {"base": ["a"]}}), "me")
    before = ledger.query("SELECT count() FROM journal").rows
    with pytest.raises(Refused) as caught:
        declare(ledger, wanted, "me")
    assert sentence in str(caught.value)
    assert ledger.query("SELECT count() FROM journal").rows == before


def test_a_cycle_that_an_earlier_declaration_would_close_is_refused(ledger: Ledger) -> None:
    declare(ledger, Wanted(models={"a": {"base": ["b"]}, "b": {"merge": ["c"]}}), "me")
    with pytest.raises(Refused, match="a model cannot be behind itself: a → b → c → a"):
        declare(ledger, Wanted(models={"c": {"reward": ["a"]}}), "me")


def test_a_lineage_as_deep_as_the_bound_is_followed_and_a_deeper_one_refused() -> None:
    chain = {f"m{n}": frozenset({Edge("base", f"m{n - 1}")}) for n in range(1, MAX_DEPTH + 1)}
    Graph(chain, {}).check()
    with pytest.raises(Refused, match="deeper than the 200"):
        Graph({**chain, "top": frozenset({Edge("base", f"m{MAX_DEPTH}")})}, {}).check()


def test_what_is_not_given_stays_and_what_is_so_already_is_not_written_again(ledger: Ledger) -> None:
    declare(ledger, Wanted(models={"a": {"base": ["b"], "traits": ["systemic-risk"]}}), "me")
    assert declare(ledger, Wanted(models={"a": {"base": ["b"]}}), "me") == []
    assert len(declare(ledger, Wanted(models={"a": {"teacher": ["t"]}}), "me")) == 1
    rows: list[Any] = [tuple(row) for row in ledger.query("SELECT kind, parent FROM lineage ORDER BY kind").rows]
    assert rows == [("base", "b"), ("teacher", "t")]
    declare(ledger, Wanted(models={"a": {"base": []}}), "me")
    assert [tuple(row) for row in ledger.query("SELECT kind, parent FROM lineage").rows] == [("teacher", "t")]
    assert ledger.query("SELECT traits FROM models WHERE model_id = 'a'").rows[0][0] == ["systemic-risk"]
