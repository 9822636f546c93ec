"""What a policy does with each amount behind a subject, as the view `subject_totals_at` does it, for one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.declarations import PURPOSES
from ledger.policies import GENERATOR_TRAINING, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ORDER = ("counted", "disputed", "excluded")
_SYNTHETIC = ("synthetic data", "public synthetic data")


def use(role: str, purpose: str) -> str:
    """What a run of `purpose` is to the subject that it plays `role` for: the purpose that a policy speaks of."""
    if role in {"generator", "teacher"} and purpose in _SYNTHETIC:
        return purpose
    by_role = {
        "generator": GENERATOR_TRAINING,
        "behind a generator": GENERATOR_TRAINING,
        "teacher": "distillation teacher",
        "behind a teacher": "distillation teacher",
        "reward model": "reward or value model",
    }
    return by_role.get(role) or (purpose if purpose in PURPOSES else OTHER)


def treated(part: Mapping[str, Any], treatment: Mapping[str, str]) -> dict[str, Any]:
    """The same with `use` and `treatment`: of several roles, the one that counts most."""
    uses = sorted((use(role, part["purpose"]) for role in part["roles"]), key=lambda name: ORDER.index(treatment[name]))
    return {**part, "use": uses[0], "treatment": treatment[uses[0]]}


def in_order(part: Mapping[str, Any]) -> tuple[bool, int]:
    """Measured hardware first, and what counts before what does not."""
    return part["basis"] != "hardware", ORDER.index(part["treatment"])


def summed(parts: Iterable[Mapping[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Amounts added under each combination of `keys`, in order of first appearance; a point where any part has one."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for part in parts:
        key = tuple(part[name] for name in keys)
        total = found.setdefault(
            key, {**dict(zip(keys, key, strict=True)), "flop": None, "floor": 0, "flop_low": 0, "flop_high": 0}
        )
        floor = part["flop_low"] if part["flop"] is None else part["flop"]
        total["floor"] += floor
        if part["flop"] is not None or total["flop"] is not None:
            total["flop"] = total["floor"]
        total["flop_low"] += part["flop_low"]
        total["flop_high"] += part["flop_high"]
    return [{name: value for name, value in total.items() if name != "floor"} for total in found.values()]
