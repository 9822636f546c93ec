"""Play a scenario into a ledger, and hold the ledger's totals beside the scenario's own truth."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.devices.simulated.truth import truth
from collector.service import collecting
from ledger.rollups import Rollups
from ledger.store import Store
from ledger.totals import run_totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.devices.simulated.scenario import Scenario
    from ledger.assessment.alert import Alert
    from ledger.journal import Statement
    from standalone.fleet_process import FleetProcess


@dataclass(frozen=True, slots=True)
class Outcome:
    """Runs' hardware totals in the ledger, and what they should be, FLOP."""

    counted: dict[str, int]
    truth: dict[str, int]

    @property
    def exact(self) -> bool:
        """Equal to the last digit, and no run missing."""
        return all(self.counted.get(run_id) == flop for run_id, flop in self.truth.items())


def simulate(
    scenario: Scenario,
    fleet: FleetProcess,
    data_dir: Path,
    notify: Callable[[int, Sequence[Alert]], None],
    advanced: Callable[[float], None],
    declarations: Sequence[Statement] = (),
) -> Outcome:
    """Collect what `fleet` makes of `scenario` into the ledger of `data_dir`, to the end.

    `notify` hears of alerts with the simulated time they are raised at, `advanced` of the share of the scenario played.
    """

    def raised(alerts: Sequence[Alert]) -> None:
        notify(fleet.now_ns, alerts)

    with collecting(fleet, data_dir, raised, fleet.world_ns) as (collector, ledger):
        ledger.append(declarations)
        collector.assess()
        while fleet.next_instant():
            while collector.step(timeout_s=0):
                pass
            collector.assess()
            advanced((fleet.now_ns - scenario.start_ns) / (scenario.end_ns - scenario.start_ns))
        # Whoever looks at it afterwards wants its curves at once.
        with closing(Store.embedded(data_dir / "ledger")) as store:
            Rollups(store).refresh()
        counted = {
            total.run_id: total.flop
            for total in run_totals(ledger)
            if total.basis == "hardware" and total.flop is not None
        }
    return Outcome(counted, truth(scenario))
