"""What helm/flopledger/values.yaml says: every key with its default, its comment and what `# @schema` adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).parents[2] / "helm" / "flopledger"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `group` is true for a mapping whose keys are keys of their own."""

    path: tuple[str, ...]
    default: Any
    description: str
    schema: dict[str, Any]
    group: bool

    @property
    def name(self) -> str:
        """As people write it: `kafka.topics.create`."""
        return ".".join(self.path)


def keys(chart: Path = CHART) -> list[Key]:
    """In the order of the file. Raises ValueError for a key without a comment."""
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_keys(root, (), text.splitlines(), yaml.safe_load(text)))


def _keys(node: yaml.MappingNode, above: tuple[str, ...], lines: list[str], values: dict[str, Any]) -> Iterator[Key]:
    for name, value in node.value:
        path = (*above, name.value)
        description, schema = _comment(lines, name.start_mark.line)
        default = values[name.value]
        group = isinstance(value, yaml.MappingNode) and bool(value.value) and "is" not in schema
        if not description and not group:
            raise ValueError(f"values.yaml: {'.'.join(path)} has no comment")
        yield Key(path, default, description, schema, group)
        if group:
            yield from _keys(value, path, lines, default)


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    block: list[str] = []
    while line and lines[line - 1].strip().startswith("#"):
        line -= 1
        block.insert(0, lines[line].strip().removeprefix("#").strip())
    said, schema = [], {}
    for remark in block:
        if remark.startswith("@schema"):
            schema = yaml.safe_load(remark.removeprefix("@schema"))
        elif remark.startswith("--") or said:
            said.append(remark.removeprefix("--").strip())
    return " ".join(said), schema
