"""What is alerted on, and the limits. Every one is a setting, `FLOPLEDGER_ALERT_…`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.settings import Settings

HORIZON_DAYS = 90
"""How far a crossing is looked for when no planned end is declared."""
WORTH_FORECASTING = 1_000
"""What is farther below every line than by this factor is not forecast."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Fractions in percent of a line, lead times in days, silences in seconds, shares and ratios from 0."""

    percents: tuple[int, ...] = (50, 75, 90, 100)
    lead_days: tuple[int, ...] = (30, 14, 7)
    subjects: tuple[str, ...] = ("run", "model", "system")
    coverage_min: float = 0.95
    agent_silent_s: float = 900.0
    unattributed_max_share: float = 0.05
    totals_apart_min: float = 0.9
    totals_apart_max: float = 1.6
    collector_stopped_s: float = 900.0
    forecast_slice_s: float | None = None
    """The hourly forecasts take so long of one assessment and go on in the next; None does all of them at once."""

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """As somebody has set them."""
        names = cls.__dataclass_fields__.keys() - {"forecast_slice_s"}
        return cls(**{name: getattr(settings, f"alert_{name}") for name in names}, forecast_slice_s=0.3)
