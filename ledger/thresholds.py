"""Lines in law, read from `ledger/catalogue`: amount, operator, unit, status, dates and citation as data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date  # noqa: TC003 - pydantic reads it at run time
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ledger.errors import Damaged


@dataclass(frozen=True, slots=True)
class Threshold:
    """One line: `operator` is > or >=, `amount_flop` in operations of `unit`."""

    id: str
    jurisdiction: str
    instrument: str
    citation: str
    source: str
    amount_flop: int
    operator: str
    unit: str
    status: str
    in_force_from: date | None
    in_force_until: date | None
    counts: str
    notification: str

    def crossed_by(self, flop: int) -> bool:
        """The text's own comparison: at exactly the amount, > has not crossed and >= has."""
        return flop >= self.amount_flop if self.operator == ">=" else flop > self.amount_flop

    def applies_on(self, day: date) -> bool:
        """In force on `day`, or adopted for later: whoever trains now is told of both."""
        if self.status in {"proposed", "vetoed"} or (self.status == "revoked" and self.in_force_until is None):
            return False
        return self.in_force_until is None or day < self.in_force_until


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
    jurisdiction: str
    instrument: str
    citation: str
    source: str
    amount_flop: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,38}$")]
    operator: Literal[">", ">="]
    unit: Literal["floating-point", "integer or floating-point"]
    status: Literal["in force", "adopted", "proposed", "revoked", "vetoed"]
    in_force_from: date | None = None
    in_force_until: date | None = None
    counts: str
    notification: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    line: list[_Line] = Field(min_length=1)


@cache
def catalogue() -> tuple[Threshold, ...]:
    """Every line we ship, the lowest first."""
    found: dict[str, Threshold] = {}
    for file in sorted((files("ledger") / "catalogue").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            for line in parse(file.read_text(encoding="utf-8"), file.name):
                if line.id in found:
                    raise Damaged(f"{file.name}: line {line.id}: the catalogue has one of this id already")
                found[line.id] = line
    return tuple(sorted(found.values(), key=lambda line: (line.amount_flop, line.id)))


def parse(text: str, name: str) -> list[Threshold]:
    """The lines in one catalogue file; raises `Damaged` naming the file, the line and the field."""
    try:
        lines = _File.model_validate(tomllib.loads(text)).line
    except tomllib.TOMLDecodeError as error:
        raise Damaged(f"{name}: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Damaged(f"{name}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    return [Threshold(**{**line.model_dump(), "amount_flop": int(line.amount_flop)}) for line in lines]
