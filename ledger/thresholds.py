"""Lines in law and of the user's own, as data: amount, operator, unit, policy, status, dates and citation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date  # noqa: TC003 - pydantic reads it at run time
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from cli.exits import Misconfigured
from cli.numbers import whole
from ledger.traits import known_trait

MAX_AMOUNT = 10**39
NEVER = frozenset({"proposed", "draft", "passed", "vetoed"})
ENDED = frozenset({"revoked", "rescinded"})

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]


def _whole(value: object) -> object:
    """`"1e25"` or `"10000000000000000000000000"`, exactly; a number in TOML may have gone through a float already."""
    if not isinstance(value, str):
        raise ValueError('an amount stands in quotes, such as "1e25"')
    try:
        number = whole(value, "amount")
    except Misconfigured as error:
        raise ValueError(str(error)) from error
    if not 1 <= number < MAX_AMOUNT:
        raise ValueError(f"{value!r} is not from 1 to 10^39")
    return number


class Line(BaseModel):
    """One `[[line]]` of a file, and the content of its journal entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id
    subject: Literal["model", "modification", "cluster"] = "model"
    amount: Annotated[int, BeforeValidator(_whole)] | None = None
    operator: Literal[">", ">="]
    unit: Literal[
        "floating-point",
        "integer or floating-point",
        "floating-point per second",
        "integer or floating-point per second",
    ]
    original: Literal["", "any", "known", "unknown", "unknown with systemic risk"] = ""
    policy: Id
    status: Literal["in force", "adopted", "guidance", "passed", "proposed", "draft", "revoked", "rescinded", "vetoed"]
    adopted_on: date | None = None
    in_force_from: date | None = None
    in_force_until: date | None = None
    requires_any: tuple[Annotated[str, AfterValidator(known_trait)], ...] = ()
    co_conditions: str = ""
    jurisdiction: str
    instrument: str
    citation: str
    counts: str
    notification: str
    notify_within_days: Annotated[int, Field(ge=1)] | None = None
    source: str
    retrieved_on: date | None = None
    note: str = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.subject == "cluster") != self.unit.endswith("per second"):
            raise ValueError("a line on a cluster, and no other, has a unit per second")
        if (self.subject == "modification") != bool(self.original):
            raise ValueError("a line on modifications, and no other, says what of the original is known")
        if self.amount is None and self.status != "draft" and self.original != "known":
            raise ValueError("only a draft may leave its amount open")
        if self.in_force_from and self.in_force_until and self.in_force_from >= self.in_force_until:
            raise ValueError("in_force_until is not after in_force_from")
        return self


@dataclass(frozen=True, slots=True)
class Threshold:
    """One line: `operator` is > or >=, `amount` in operations of `unit`, None where the text gives none."""

    id: str
    subject: str
    amount: int | None
    operator: str
    unit: str
    original: str
    policy: str
    status: str
    adopted_on: date | None
    in_force_from: date | None
    in_force_until: date | None
    requires_any: tuple[str, ...]
    co_conditions: str
    jurisdiction: str
    instrument: str
    citation: str
    counts: str
    notification: str
    notify_within_days: int | None
    """Days from the moment at which crossing is foreseeable until whoever must be told must have been."""
    source: str
    retrieved_on: date | None
    note: str
    catalogue: str = ""

    @classmethod
    def of(cls, line: Line, catalogue: str = "") -> Threshold:
        """The same line; `catalogue` is the version of ours that it came with, empty for a user's own."""
        return cls(**line.model_dump(), catalogue=catalogue)

    @property
    def amount_flop(self) -> int:
        """The amount; raises `ValueError` for a line that has none of its own."""
        if self.amount is None:
            raise ValueError(f"{self.id} has no amount of its own")
        return self.amount

    def crossed_by(self, flop: int) -> bool:
        """The text's own comparison: at exactly the amount, > has not crossed and >= has."""
        return flop >= self.amount_flop if self.operator == ">=" else flop > self.amount_flop

    def standing_on(self, day: date) -> str:
        """What the line was on `day`: in force, guidance, coming, not adopted yet, ended, or never in force."""
        if self.status in NEVER:
            return "never in force"
        if (self.in_force_until is None and self.status in ENDED) or (
            self.in_force_until is not None and day >= self.in_force_until
        ):
            return "ended"
        if self.adopted_on is not None and day < self.adopted_on:
            return "not adopted yet"
        if self.in_force_from is not None and day < self.in_force_from:
            return "coming"
        return "guidance" if self.status == "guidance" else "in force"

    def applies_on(self, day: date) -> bool:
        """Whether alerts speak of it: a binding amount for every model, in force on `day` or later.

        Whoever trains now is told of what comes; a line for some models alone, or for their modifications, is assessed
        and not alerted on.
        """
        binding = self.standing_on(day) in {"in force", "coming", "not adopted yet"}
        return binding and self.subject == "model" and self.amount is not None and not self.requires_any

    def data(self) -> dict[str, Any]:
        """The content of its journal entry: amounts as decimal strings, dates as ISO 8601."""
        texts = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        return {**texts, "notify_within_days": self.notify_within_days}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str) or value is None else str(value)
