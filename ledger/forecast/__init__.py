"""When a run will reach an amount, with a 90 % interval: from how it grew, stopped and changed so far."""

from __future__ import annotations

from ledger.forecast.forecast import Crossing, Forecast, forecast_run, forecast_runs
from ledger.forecast.history import METHOD

__all__ = ["METHOD", "Crossing", "Forecast", "forecast_run", "forecast_runs"]
