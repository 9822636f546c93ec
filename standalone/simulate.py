"""Play a scenario into a ledger, and hold the ledger's totals beside the scenario's own truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.devices.simulated.truth import truth
from collector.service import collecting
from collector.sources.outbox import OutboxSource
from ledger.totals import run_totals
from standalone.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.devices.simulated.scenario import Scenario
    from ledger.assess import Alert
    from ledger.journal import Statement


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
    data_dir: Path,
    notify: Callable[[int, Sequence[Alert]], None],
    advanced: Callable[[float], None],
    declarations: Sequence[Statement] = (),
) -> Outcome:
    """Play `scenario` to its end into the ledger of `data_dir`.

    `notify` hears of alerts with the simulated time they are raised at, `advanced` of the share of the scenario played.
    """
    simulation = Simulation(scenario)
    source = OutboxSource([node.outbox for node in simulation.nodes], lambda _: None)

    def raised(alerts: Sequence[Alert]) -> None:
        notify(simulation.now_ns, alerts)

    with collecting(source, data_dir, raised, simulation.world_ns) as (collector, ledger):
        ledger.append(declarations)
        collector.assess()

        def collect() -> None:
            while collector.step(timeout_s=0):
                pass
            collector.assess()

        def progress(instant_ns: int) -> None:
            advanced((instant_ns - scenario.start_ns) / (scenario.end_ns - scenario.start_ns))

        simulation.run(collect, progress)
        collect()
        counted = {
            total.run_id: total.flop
            for total in run_totals(ledger)
            if total.basis == "hardware" and total.flop is not None
        }
    return Outcome(counted, truth(scenario))
