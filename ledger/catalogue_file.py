"""Files of lines and policies in TOML, ours and the user's own; what is wrong is named by its place."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ledger.errors import Refused
from ledger.policies import Policy, PolicyTable
from ledger.thresholds import Line, Threshold

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = "2026-11-24"
"""Of our own catalogue: an older program leaves on record what a newer one wrote."""


_Entry = TypeVar("_Entry", Threshold, Policy)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    line: tuple[Line, ...] = ()
    policy: tuple[PolicyTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Lines, the lowest first, and policies."""

    lines: tuple[Threshold, ...] = ()
    policies: tuple[Policy, ...] = ()


def parse(text: str, name: str) -> Catalogue:
    """What a file says; raises `Refused` naming the file, the line of text, the entry and the field."""
    try:
        raw = tomllib.loads(text)
        file = _File.model_validate(raw)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{name}: {error}") from error
    except ValidationError as error:
        raise Refused(f"{name}: {_first(error, raw, text)}") from error
    if not file.line and not file.policy:
        raise Refused(f"{name}: there is no [[line]] and no [[policy]] in it")
    for noun, ids in (("line", [line.id for line in file.line]), ("policy", [policy.id for policy in file.policy])):
        for n, found in enumerate(ids):
            if found in ids[:n]:
                raise Refused(f"{name}: line {_row(text, (noun, n, 'id'))}: [[{noun}]] {found}: id: stands there twice")
    return Catalogue(_sorted(map(Threshold.of, file.line)), tuple(map(Policy.of, file.policy)))


@cache
def shipped() -> Catalogue:
    """All lines and policies that come with this version."""
    lines: dict[str, Threshold] = {}
    policies: dict[str, Policy] = {}
    for file in sorted((files("ledger") / "catalogue").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            found = parse(file.read_text(encoding="utf-8"), file.name)
            for line in found.lines:
                _put(lines, replace(line, catalogue=VERSION), file.name)
            for policy in found.policies:
                _put(policies, replace(policy, catalogue=VERSION), file.name)
    for line in lines.values():
        if line.policy not in policies:
            raise Refused(f"line {line.id}: policy {line.policy!r} is none of: {', '.join(policies)}")
    return Catalogue(_sorted(lines.values()), tuple(policies.values()))


def catalogue() -> tuple[Threshold, ...]:
    """Every line that comes with this version, the lowest first; those without an amount of their own last."""
    return shipped().lines


def _put(into: dict[str, _Entry], entry: _Entry, name: str) -> None:
    if entry.id in into:
        raise Refused(f"{name}: {entry.id}: the catalogue has one of this id already")
    into[entry.id] = entry


def _sorted(lines: Iterable[Threshold]) -> tuple[Threshold, ...]:
    return tuple(sorted(lines, key=lambda line: (line.amount is None, line.amount or 0, line.id)))


def _first(error: ValidationError, raw: dict[str, Any], text: str) -> str:
    first = error.errors(include_url=False)[0]
    place = tuple(first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if len(place) < 2:
        return f"{place[0] if place else ''}: {message}"
    noun, n, *path = place
    entry = raw[str(noun)][n] if isinstance(raw[str(noun)], list) else {}
    named = f"[[{noun}]] {entry.get('id', n)}" if isinstance(entry, dict) else f"[[{noun}]]"
    fields = "".join(f" {part}:" for part in path if isinstance(part, str))
    return f"line {_row(text, place)}: {named}:{fields} {message}"


def _row(text: str, place: tuple[int | str, ...]) -> int:
    """Where in the text the field stands, or else its table, from 1."""
    noun, n, *path = place
    table = -1
    start = 1
    for number, row in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[\[\s*{noun}\s*\]\]", row):
            table += 1
            start = number if table == n else start
        elif table == n and path and re.match(rf"\s*{re.escape(str(path[0]))}\s*=", row):
            return number
    return start
