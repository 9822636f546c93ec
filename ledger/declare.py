"""Putting declarations on record: what is asked for over what is declared already, checked whole, written at once.

What is not asked for stays as it was, what is so already is not written again, and nothing is written if anything is
wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ledger.declarations import Declaration, all_declared
from ledger.lineage import Graph
from ledger.models import Model, System, models, systems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.access import Access
    from ledger.journal import Statement


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to change: fields of a run's `Declaration`, a model's traits and parents by kind, a system's models."""

    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Iterable[str]]] = field(default_factory=dict)
    systems: Mapping[str, frozenset[str]] = field(default_factory=dict)


def declare(access: Access, wanted: Wanted, author: str) -> list[int]:
    """Write what is new of `wanted` to the journal; returns the entries' indices. Raises `Refused` for what makes no
    sense by itself or together with what is declared already.
    """
    statements = _statements(access, wanted, author)
    return access.append(statements) if statements else []


def _statements(access: Access, wanted: Wanted, author: str) -> list[Statement]:
    found: list[Statement] = []
    runs = all_declared(access)
    for run_id, changes in wanted.runs.items():
        before = runs.get(run_id)
        runs[run_id] = replace(before or Declaration(run_id), **changes)
        statement = runs[run_id].statement(author)
        if runs[run_id] != before:
            found.append(statement)
    known_models = models(access)
    for model_id, changes in wanted.models.items():
        model = known_models.get(model_id, Model(model_id))
        known_models[model_id] = model.changed(changes)
        found += known_models[model_id].statements(model, author)
    known_systems = systems(access)
    for system_id, members in wanted.systems.items():
        found += System(system_id, members).statements(known_systems.get(system_id, System(system_id)), author)
    Graph(
        {name: model.edges for name, model in known_models.items()},
        {name: run.parent for name, run in runs.items()},
    ).check()
    return found
