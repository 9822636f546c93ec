"""What came from what, as a drawing: models made from models, and the runs behind each. Left is before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.reader import Reader

EDGES = """
SELECT parent AS source, 'model' AS source_kind, model_id AS target, 'model' AS target_kind, kind FROM lineage
UNION ALL
SELECT run_id, 'run', model_id, 'model', if(purpose = '', 'run', purpose) FROM run_declarations WHERE model_id != ''
UNION ALL
SELECT parent, 'run', run_id, 'run', 'continued' FROM run_declarations WHERE parent != ''
UNION ALL
SELECT model_id, 'model', system_id, 'system', 'part of' FROM systems
"""
WIDTH, HEIGHT, GAP_X, GAP_Y = 170, 46, 66, 18
MOST = 40
"""More nodes than this are no picture: the table beside it has all."""

Node = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` was made with `source`, in the way that `kind` says; each is (kind, name)."""

    source: Node
    target: Node
    kind: str


@dataclass(frozen=True, slots=True)
class Box:
    """A node in the drawing; x and y of its corner."""

    node: Node
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Graph:
    """The drawing, with all edges; `boxes` is empty where there are too many to draw."""

    center: Node
    edges: Sequence[Edge]
    boxes: Sequence[Box]
    width: int
    height: int

    def paths(self) -> list[str]:
        """Every edge as an SVG path. One that passes over a column bows below what stands there."""
        places = {box.node: box for box in self.boxes}
        found = []
        for edge in self.edges:
            one, other = places.get(edge.source), places.get(edge.target)
            if one is None or other is None:
                continue
            x, y, to_x, to_y = one.x + WIDTH, one.y + HEIGHT // 2, other.x, other.y + HEIGHT // 2
            bow = HEIGHT + GAP_Y if to_x - x > GAP_X else 0
            found.append(f"M{x} {y}C{x + GAP_X // 2} {y + bow} {to_x - GAP_X // 2} {to_y + bow} {to_x} {to_y}")
        return found


def edges(reader: Reader) -> list[Edge]:
    """Every edge on record."""
    return [Edge((k, s), (j, t), kind) for s, k, t, j, kind in reader.query(EDGES).rows]


def around(center: Node, known: Sequence[Edge]) -> Graph:
    """All that came before it, all that comes after it, and the runs of the models among those."""
    into: dict[Node, list[Edge]] = defaultdict(list)
    out: dict[Node, list[Edge]] = defaultdict(list)
    for edge in known:
        into[edge.target].append(edge)
        out[edge.source].append(edge)
    column = {center: 0}
    found: dict[Edge, None] = {}
    for step, side in ((-1, into), (1, out)):
        todo = [center]
        while todo:
            node = todo.pop()
            for edge in side[node]:
                found[edge] = None
                other = edge.source if step < 0 else edge.target
                place = column[node] + step
                if other not in column or abs(place) > abs(column[other]) < 20:
                    column[other] = place
                    todo.append(other)
    shown = sorted(found, key=lambda edge: (edge.source, edge.target, edge.kind))
    if len(column) > MOST:
        return Graph(center, shown, [], 0, 0)
    return _laid_out(center, shown, column)


def _laid_out(center: Node, shown: Sequence[Edge], column: dict[Node, int]) -> Graph:
    columns: dict[int, list[Node]] = defaultdict(list)
    for node, place in sorted(column.items(), key=lambda item: (item[1], item[0])):
        columns[place].append(node)
    tallest = max(map(len, columns.values()))
    height = tallest * (HEIGHT + GAP_Y) - GAP_Y
    boxes = []
    for number, place in enumerate(sorted(columns)):
        nodes = columns[place]
        top = (height - len(nodes) * (HEIGHT + GAP_Y) + GAP_Y) // 2
        boxes += [Box(node, number * (WIDTH + GAP_X), top + row * (HEIGHT + GAP_Y)) for row, node in enumerate(nodes)]
    return Graph(center, shown, boxes, len(columns) * (WIDTH + GAP_X) - GAP_X, height + HEIGHT)
