"""What counts towards a line: every purpose is counted, excluded or disputed, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from ledger.declarations import PURPOSES

if TYPE_CHECKING:
    from collections.abc import Mapping

GENERATOR_TRAINING = "generator training"
"""What a model took that wrote training data for another."""
OTHER = "other"
"""A purpose that a reading names and nobody knows."""
USES = (*PURPOSES, GENERATOR_TRAINING, OTHER)
"""What a run can be to a model: its purpose, or its part in a model behind that one."""


class PolicyTable(BaseModel):
    """One `[[policy]]` of a file, and the content of its journal entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,63}$")]
    title: str
    source: str
    counted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _says_what_to_do_with_each(self) -> Self:
        said = (*self.counted, *self.excluded, *self.disputed)
        for use in said:
            if use not in USES:
                raise ValueError(f"{use!r} is no purpose; they are: {', '.join(USES)}")
            if said.count(use) > 1:
                raise ValueError(f"{use!r} stands there twice")
        if missing := [use for use in USES if use not in said]:
            raise ValueError(f"nothing is said of: {', '.join(missing)}")
        return self


@dataclass(frozen=True, slots=True)
class Policy:
    """Per purpose what a total does with it: counted, excluded or disputed."""

    id: str
    title: str
    source: str
    treatment: Mapping[str, Literal["counted", "excluded", "disputed"]]
    note: str = ""
    catalogue: str = ""

    @classmethod
    def of(cls, table: PolicyTable, catalogue: str = "") -> Policy:
        """The same policy, by purpose."""
        treatment: dict[str, Literal["counted", "excluded", "disputed"]] = {}
        treatment |= dict.fromkeys(table.counted, "counted")
        treatment |= dict.fromkeys(table.excluded, "excluded")
        treatment |= dict.fromkeys(table.disputed, "disputed")
        return cls(table.id, table.title, table.source, treatment, table.note, catalogue)

    def data(self) -> dict[str, Any]:
        """The content of its journal entry."""
        return {name: getattr(self, name) for name in ("id", "title", "source", "note", "catalogue")} | {
            "treatment": dict(self.treatment)
        }
