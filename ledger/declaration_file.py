"""A YAML file of runs, models and systems, for who keeps declarations beside the code that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cli.exits import Misconfigured
from cli.numbers import whole
from ledger.declare import Wanted
from ledger.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def _planned_flop(text: str) -> int:
    try:
        return whole(text, "planned_flop")
    except Misconfigured as error:
        raise ValueError(str(error)) from error


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self, *names: str) -> dict[str, Any]:
        """The fields that the file gives."""
        return {name: getattr(self, name) for name in names if name in self.model_fields_set}


class _Run(_Entry):
    run: str
    model: str = ""
    purpose: str = ""
    dtype: str = ""
    planned_flop: Annotated[int | None, BeforeValidator(_planned_flop)] = None
    planned_end: str | None = None
    devices: int | None = None
    parent: str = ""


class _Model(_Entry):
    model: str
    base: tuple[str, ...] = ()
    merge: tuple[str, ...] = ()
    data_from: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()
    reward: tuple[str, ...] = ()
    traits: frozenset[str] = frozenset()


class _System(_Entry):
    system: str
    models: frozenset[str] = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: tuple[_Run, ...] = ()
    models: tuple[_Model, ...] = ()
    systems: tuple[_System, ...] = ()


KIND_OF = {"base": "base", "merge": "merge", "data_from": "data", "teacher": "teacher", "reward": "reward"}


def read(path: Path) -> Wanted:
    """What the file asks for; raises `Refused` naming the file, the line and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Wanted:
    """As `read`, of text that came from `name`."""
    try:
        node = yaml.compose(text, yaml.BaseLoader)
        _refuse_doubles(node, name)
        # Everything stays text here: YAML itself would take 3.8e+25 for a float and a date for midnight.
        raw = yaml.load(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise Refused(f"{name}: {' '.join(str(error).split())}") from error
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise Refused(f"{name}: line {_row(node, first['loc'])}: {where or 'the file'}: {said}") from error
    _refuse_repeated(node, name, "runs", [entry.run for entry in file.runs])
    _refuse_repeated(node, name, "models", [entry.model for entry in file.models])
    _refuse_repeated(node, name, "systems", [entry.system for entry in file.systems])
    return Wanted(
        {entry.run: _run_changes(entry) for entry in file.runs},
        {entry.model: _model_changes(entry) for entry in file.models},
        {entry.system: entry.models for entry in file.systems},
    )


def _run_changes(entry: _Run) -> dict[str, Any]:
    changes = entry.given("purpose", "dtype", "planned_flop", "planned_end", "devices", "parent")
    return changes | ({"model_id": entry.model} if "model" in entry.model_fields_set else {})


def _model_changes(entry: _Model) -> dict[str, Any]:
    return entry.given("traits") | {KIND_OF[name]: parents for name, parents in entry.given(*KIND_OF).items()}


def _refuse_repeated(node: yaml.Node | None, name: str, noun: str, ids: Sequence[str]) -> None:
    for n, found in enumerate(ids):
        if found in ids[:n]:
            raise Refused(f"{name}: line {_row(node, (noun, n))}: {noun}: {found!r} stands there twice")


def _refuse_doubles(node: yaml.Node | None, name: str) -> None:
    """A key that stands twice would silently mean its last value."""
    for mapping in _mappings(node):
        keys: set[str] = set()
        for key, _ in mapping.value:
            if key.value in keys:
                raise Refused(f"{name}: line {key.start_mark.line + 1}: {key.value!r} stands there twice")
            keys.add(str(key.value))


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _row(node: yaml.Node | None, place: Sequence[int | str]) -> int:
    """The line of the field, or of the nearest thing around it, from 1."""
    row = 0 if node is None else node.start_mark.line
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            row, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            row = node.start_mark.line
        else:
            break
    return row + 1
