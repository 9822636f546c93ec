"""What people say of models and of systems of several models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.declarations import MAX_NAME_CHARS
from ledger.errors import Refused
from ledger.journal import Statement
from ledger.lineage import EDGE_KINDS, Edge
from ledger.traits import known_trait

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.reader import Reader

MODEL_COLUMNS = ("model_id", "traits", "edges", "systems", "runs", "declared")
SYSTEM_COLUMNS = ("system_id", "models")
_AMOUNT_COLUMNS = (
    "basis",
    "policy",
    "flop",
    "flop_low",
    "flop_high",
    "disputed_flop",
    "excluded_flop",
    "int_op",
    "runs",
    "unknown_models",
)
MODEL_TOTAL_COLUMNS = ("model_id", *_AMOUNT_COLUMNS)
SYSTEM_TOTAL_COLUMNS = ("system_id", *_AMOUNT_COLUMNS)


@dataclass(frozen=True, slots=True)
class Model:
    """All that is declared of a model: what it was made with, and what lines ask about."""

    model_id: str
    edges: frozenset[Edge] = frozenset()
    traits: frozenset[str] = frozenset()

    def changed(self, changes: Mapping[str, Iterable[str]]) -> Model:
        """With other `traits`, or other parents of an edge's kind: what is not among the changes stays."""
        new = {Edge(kind, parent) for kind in EDGE_KINDS for parent in changes.get(kind, ())}
        kept = {edge for edge in self.edges if edge.kind not in changes}
        return Model(self.model_id, frozenset(kept | new), frozenset(changes.get("traits", self.traits)))

    def statements(self, before: Model, author: str) -> list[Statement]:
        """The journal entries that change `before` into this; raises `Refused` when a field makes no sense."""
        _check_name("model", self.model_id)
        for edge in self.edges:
            _check_name("model", edge.parent)
        try:
            traits = sorted(map(known_trait, self.traits))
        except ValueError as error:
            raise Refused(f"model {self.model_id}: {error}") from error
        found = []
        if self.traits != before.traits:
            found.append(Statement("model", author, {"model_id": self.model_id, "traits": traits}))
        if self.edges != before.edges:
            edges = sorted((edge.kind, edge.parent) for edge in self.edges)
            data = {
                "model_id": self.model_id,
                "edges": [{"kind": kind, "parent": parent} for kind, parent in edges],
            }
            found.append(Statement("lineage", author, data))
        return found


@dataclass(frozen=True, slots=True)
class System:
    """A system and the models in it."""

    system_id: str
    models: frozenset[str] = frozenset()

    def statements(self, before: System, author: str) -> list[Statement]:
        """The journal entry that changes `before` into this, if it differs."""
        _check_name("system", self.system_id)
        for model in self.models:
            _check_name("model", model)
        if self.models == before.models:
            return []
        return [Statement("system", author, {"system_id": self.system_id, "models": sorted(self.models)})]


def models(reader: Reader) -> dict[str, Model]:
    """Every model that was declared or named, as it is declared now."""
    edges: dict[str, set[Edge]] = {}
    for model, kind, parent in reader.query("SELECT model_id, kind, parent FROM lineage").rows:
        edges.setdefault(model, set()).add(Edge(kind, parent))
    rows = reader.query("SELECT model_id, traits FROM models").rows
    return {name: Model(name, frozenset(edges.get(name, ())), frozenset(traits)) for name, traits in rows}


def systems(reader: Reader) -> dict[str, System]:
    """Every system as it is declared now."""
    rows = reader.query("SELECT system_id, groupArray(model_id) FROM systems GROUP BY system_id").rows
    return {name: System(name, frozenset(members)) for name, members in rows}


def _check_name(noun: str, name: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise Refused(f"the name of a {noun} has 1 to {MAX_NAME_CHARS} characters")
