"""What people say of a run before and while it goes: model, purpose, number format, budget, world size, parent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from compute.precision import Dtype
from ledger.errors import Refused
from ledger.journal import Statement
from wire.batch import UNATTRIBUTED
from wire.rfc3339 import format_ns, parse_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.reader import Reader

MAX_NAME_CHARS = 512
"""As on the wire."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_UNIX_NS = (1 << 63) - 1
"""What the engine's times in nanoseconds have room for."""
PURPOSES = (
    "pre-training",
    "continued pre-training",
    "fine-tuning",
    "reinforcement learning",
    "rl rollouts",
    "synthetic data",
    "public synthetic data",
    "distillation teacher",
    "reward or value model",
    "evaluation",
    "experiment",
    "failed segment",
)


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is declared of one run; None is not declared. `planned_flop` in FLOP, `planned_end` RFC 3339."""

    run_id: str
    model_id: str = ""
    purpose: str = ""
    dtype: str = ""
    planned_flop: int | None = None
    planned_end: str | None = None
    devices: int | None = None
    parent: str = ""
    """The run whose weights this one began with."""

    def statement(self, author: str) -> Statement:
        """The journal entry that puts this on record; raises `Refused` when a field makes no sense."""
        if self.run_id in {"", UNATTRIBUTED}:
            raise Refused(f"a run cannot be called {self.run_id!r}")
        if max(len(self.run_id), len(self.model_id), len(self.parent)) > MAX_NAME_CHARS:
            raise Refused(f"the name of a run or a model has at most {MAX_NAME_CHARS} characters")
        if self.dtype and self.dtype not in tuple(Dtype):
            raise Refused(f"dtype {self.dtype!r} is none of: {', '.join(Dtype)}")
        if self.purpose and self.purpose not in PURPOSES:
            raise Refused(f"purpose {self.purpose!r} is none of: {', '.join(PURPOSES)}")
        if self.planned_flop is not None and not 0 < self.planned_flop < 1 << 128:
            raise Refused(f"a budget of {self.planned_flop} FLOP makes no sense: leave it out, or give what is planned")
        if self.devices is not None and not 0 < self.devices < 1 << 32:
            raise Refused(f"a world size of {self.devices} devices makes no sense")
        if self.planned_end is not None:
            _check_time(self.planned_end)
        data: dict[str, Any] = asdict(self)
        data["planned_flop"] = None if self.planned_flop is None else str(self.planned_flop)
        return Statement("run", author, data)


def _check_time(text: str) -> None:
    try:
        at_ns = parse_ns(text)
    except ValueError as error:
        raise Refused(f"planned end {text!r}: {error}, such as 2026-11-23T00:00:00Z") from error
    if at_ns > MAX_UNIX_NS:
        raise Refused(f"planned end {text!r} makes no sense: times end in 2262")


def declared(reader: Reader, run_id: str) -> Declaration:
    """What is declared of a run so far; an empty declaration for one that nobody declared."""
    found = _read(reader, "WHERE run_id = {run:String}", {"run": run_id})
    return found.get(run_id, Declaration(run_id))


def all_declared(reader: Reader) -> dict[str, Declaration]:
    """What is declared of every run that somebody declared."""
    return _read(reader, "WHERE declared", {})


def _read(reader: Reader, where: str, parameters: Mapping[str, Any]) -> dict[str, Declaration]:
    result = reader.query(
        "SELECT run_id, model_id, purpose, dtype, planned_flop, planned_end, declared_devices, parent "
        f"FROM runs {where}",
        parameters,
    )
    found = {}
    for run_id, model_id, purpose, dtype, planned_flop, planned_end, devices, parent in result.rows:
        end = None if planned_end is None else format_ns((planned_end - _EPOCH) // timedelta(microseconds=1) * 1_000)
        found[run_id] = Declaration(run_id, model_id, purpose, dtype, planned_flop, end, devices, parent)
    return found
