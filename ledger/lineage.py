"""The graph behind a total: systems of models, models made from models, runs that continue runs. It has no cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EDGE_KINDS = ("base", "merge", "data", "teacher", "reward")
"""base: initialised from its weights; merge: its weights were merged or averaged in; data: it wrote training data;
teacher: distilled from it; reward: it gave rewards or values."""
MAX_DEPTH = 200
"""Steps from a model to the farthest run behind it; the views follow a little farther."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A model was made with `parent`, in the way that `kind` says."""

    kind: str
    parent: str


@dataclass(frozen=True, slots=True)
class Graph:
    """What every model was made with, and which run each run continues."""

    edges: Mapping[str, frozenset[Edge]]
    parents: Mapping[str, str]

    def check(self) -> None:
        """Raises `Refused` naming the whole way round for a cycle, or a lineage that is too deep."""
        models = {model: sorted({edge.parent for edge in edges}) for model, edges in self.edges.items()}
        runs = {run: [parent] for run, parent in self.parents.items() if parent}
        depth = max(_depth("model", models), _depth("run", runs))
        if depth > MAX_DEPTH:
            raise Refused(f"a lineage of {depth} steps is deeper than the {MAX_DEPTH} that totals follow")


def _depth(noun: str, parents: Mapping[str, Sequence[str]]) -> int:
    """The longest way up; raises `Refused` on the first cycle. By hand, since Python's stack ends at a thousand."""
    depth: dict[str, int] = {}
    for start in sorted(parents):
        trail: list[str] = []
        on_trail: set[str] = set()
        todo = [(start, False)]
        while todo:
            node, done = todo.pop()
            if done:
                trail.pop()
                on_trail.discard(node)
                depth[node] = 1 + max((depth.get(parent, 0) for parent in parents.get(node, ())), default=-1)
            elif node in on_trail:
                raise Refused(f"a {noun} cannot be behind itself: {_circle(trail, node)}")
            elif node not in depth:
                trail.append(node)
                on_trail.add(node)
                todo.append((node, True))
                todo += [(parent, False) for parent in parents.get(node, ())]
    return max(depth.values(), default=0)


def _circle(trail: Iterable[str], node: str) -> str:
    way = list(trail)
    return " → ".join([*way[way.index(node) :], node])
