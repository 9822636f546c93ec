from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.attribution.environment import Environment
from agent.devices.interface import Method
from agent.devices.simulated.scenario import FailureKind, Scenario
from agent.devices.simulated.truth import truth
from agent.errors import Retry, SkipDevice
from agent.main import INVENTORY_EVERY_TICKS
from agent.reports.refusal import Refusals
from tests.agent.devices.simulated.fleets import HOUR_NS, SECOND_NS, START_NS, World, failure, run, scenario, scenarios
from tests.agent.nodes import Node, check_chain, totals
from tests.agent.reports.exports import compute, export, point, tokens
from wire.batch import UNATTRIBUTED, Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.devices.interface import Capability, Delta, Device, Snapshot
    from agent.devices.simulated.backend import SimulatedBackend

LENGTH_NS = 10 * HOUR_NS
WHOLE = run(from_ns=0, until_ns=LENGTH_NS)
"""A run whose processes live from the first instant to the last."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios())
def test_any_fleet_is_counted_to_the_last_flop(fleet: Scenario) -> None:
    world = World(fleet)
    batches: list[Batch] = []
    for number in world.fleet.nodes:
        world.now_ns = fleet.start_ns
        node = Node(world, number)
        reports, downs = set(world.fleet.report_instants(number)), list(world.fleet.agent_downs(number))
        for instant in world.fleet.instants(number):
            world.now_ns = instant
            while downs and downs[0].end_ns <= instant:
                downs.pop(0)
                node.restart()
            node.agent.tick()
            if instant in reports:
                node.agent.seal()
        check_chain(node.batches())
        batches += node.batches()
    counted = totals(batches)
    assert {run_id: counted.get((run_id, "flop"), 0) for run_id in truth(fleet)} == truth(fleet)


ACTIONS = st.lists(
    st.tuples(st.integers(0, LENGTH_NS), st.sampled_from(["look", "seal", "stop", "crash"])), min_size=1, max_size=12
)


def played(whole: Scenario, actions: list[tuple[int, str]]) -> Node:
    """One node through a scenario, its agent looking, sealing, stopping and dying when told."""
    node = Node(World(whole))
    node.look_and_seal(0)
    for offset_ns, action in sorted(actions):
        node.world.now_ns = START_NS + offset_ns
        if action != "crash":
            node.agent.tick()
        if action in {"seal", "stop"}:
            node.agent.seal()
        if action in {"stop", "crash"}:
            node.restart()
    node.look_and_seal(10)
    check_chain(node.batches())
    return node


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_restarts_at_any_instant_change_no_total_of_cycle_counters(actions: list[tuple[int, str]]) -> None:
    whole = scenario(WHOLE)
    node = played(whole, actions)
    counted = totals(node.batches())
    assert counted["a", "flop"] == truth(whole)["a"]
    assert counted["a", "flop_low"] <= truth(whole)["a"] <= counted["a", "flop_high"]
    assert counted["a", "observed_ns"] == counted["a", "busy_ns"] == 2 * LENGTH_NS
    assert counted["a", "sm_cycles"] == 2 * 132 * 1_755 * LENGTH_NS // 1_000
    assert {run_id for run_id, _ in counted} == {"a"}
    assert node.events() == []


@pytest.mark.parametrize("method", [Method.GPM, Method.BUSY])
@settings(max_examples=30, deadline=None)
@given(ACTIONS)
def test_what_no_counter_covers_is_a_gap_whose_bounds_hold_the_truth(
    method: Method, actions: list[tuple[int, str]]
) -> None:
    whole = scenario(WHOLE, method=method)
    node = played(whole, actions)
    counted = totals(node.batches())
    done = truth(whole)["a"]
    assert counted["a", "flop_low"] <= done <= counted["a", "flop_high"]
    assert counted.get(("a", "flop"), 0) <= done
    assert method is Method.GPM or ("a", "flop") not in counted
    gap_ns = counted.get(("a", "gap_ns"), 0)
    assert counted.get(("a", "observed_ns"), 0) + gap_ns == 2 * LENGTH_NS
    kinds = {event.kind for event in node.events()}
    assert kinds == {"gap"} if gap_ns else kinds <= {"gap"}  # one of no length, when no time passed in between
    assert {run_id for run_id, _ in counted} == {"a"}


def test_a_gap_takes_the_point_of_its_own_time_and_no_more() -> None:
    whole = scenario(WHOLE, method=Method.GPM)
    node = Node(World(whole))
    node.look_and_seal(0)
    node.look_and_seal(4)
    node.restart()
    node.look_and_seal(6)
    node.look_and_seal(10)
    counted = totals(node.batches())
    assert counted["a", "gap_ns"] == 2 * 2 * HOUR_NS
    assert counted["a", "observed_ns"] == 2 * 8 * HOUR_NS
    assert counted["a", "flop"] == pytest.approx(truth(whole)["a"] * 8 // 10, rel=1e-9)
    assert [event.kind for event in node.events()] == ["gap", "gap"]


def test_an_incarnation_starts_its_meters_at_zero_and_goes_on_with_the_chain() -> None:
    node = Node(World(scenario(WHOLE)))
    node.look_and_seal(0)
    node.look_and_seal(5)
    node.restart()
    node.look_and_seal(7)
    first, second, third = node.batches()
    assert first.incarnation == second.incarnation != third.incarnation
    assert first.chain == second.chain == third.chain
    assert [reading.observed_ns for reading in second.readings.rows()] == [5 * HOUR_NS] * 2
    assert [reading.observed_ns for reading in third.readings.rows()] == [2 * HOUR_NS] * 2
    starts = [event for batch in node.batches() for event in batch.events if event.kind == "start"]
    assert [(event.kind, event.detail) for event in starts] == [("start", {"resumed": 0}), ("start", {"resumed": 1})]


def test_the_inventory_is_sent_when_it_changed() -> None:
    node = Node(World(scenario(WHOLE)))
    for hour in range(3):
        node.look_and_seal(hour)
    node.restart()
    node.look_and_seal(3)
    assert [len(batch.devices) for batch in node.batches()] == [2, 0, 0, 2]
    sent = node.batches()[0].devices
    assert [device.id for device in sent] == [device.id for device in node.agent.devices]
    assert {(gpu.kind, gpu.method, gpu.accelerator, gpu.units) for gpu in sent} == {
        ("gpu", "gpm-cycles", "H100 SXM5 80GB", 132)
    }


def test_nothing_to_seal_is_no_batch() -> None:
    node = Node(World(scenario(WHOLE)))
    assert node.look_and_seal(0)
    assert not node.agent.seal()
    assert not node.look_and_seal(0)
    assert node.outbox.stored_batches() == 1
    assert node.look_and_seal(1)


def test_idle_time_is_nobodys() -> None:
    node = Node(World(scenario(run(from_ns=4 * HOUR_NS, until_ns=6 * HOUR_NS))))
    for hour in (0, 4, 6, 10):
        node.look_and_seal(hour)
    counted = totals(node.batches())
    assert (counted[UNATTRIBUTED, "observed_ns"], counted["a", "observed_ns"]) == (2 * 8 * HOUR_NS, 2 * 2 * HOUR_NS)
    assert (counted[UNATTRIBUTED, "flop"], counted[UNATTRIBUTED, "busy_ns"]) == (0, 0)


def test_of_several_sources_the_first_that_knows_a_run_is_believed() -> None:
    sources = [
        Environment(lambda _: {}),
        Environment(lambda _: {"FLOPLEDGER_RUN_ID": "sure"}),
        Environment(lambda _: {"FLOPLEDGER_RUN_ID": "other"}),
    ]
    node = Node(World(scenario(WHOLE)), sources=sources)
    node.look(0)
    node.look_and_seal(1)
    assert {run_id for run_id, _ in totals(node.batches())} == {"sure"}


def test_a_clock_that_jumps_back_warns_once_and_takes_nothing_back(caplog: pytest.LogCaptureFixture) -> None:
    jumps = (failure(FailureKind.CLOCK_BACK, 3, 2), failure(FailureKind.CLOCK_BACK, 8, 1))
    whole = scenario(WHOLE, failures=jumps)
    node = Node(World(whole))
    for quarter in range(4 * 10 + 1):
        node.look_and_seal(quarter / 4)
    # The last look was a quarter of an hour before each jump.
    assert [record.getMessage() for record in caplog.records] == [
        f"the clock went back by {back_s}.0 s: time stands still until it catches up" for back_s in (6_300, 2_700)
    ]
    assert [(event.kind, event.detail) for event in node.events()] == [
        ("clock-back", {"by_ns": 6_300 * SECOND_NS}),
        ("clock-back", {"by_ns": 2_700 * SECOND_NS}),
    ]
    check_chain(node.batches())
    counted = totals(node.batches())
    assert counted["a", "flop"] == truth(whole)["a"]
    assert counted["a", "observed_ns"] == 2 * LENGTH_NS
    assert ("a", "gap_ns") not in counted
    assert node.agent.silent_devices == 0


def test_a_clock_that_stands_behind_is_no_silent_device() -> None:
    node = Node(World(scenario(WHOLE, failures=(failure(FailureKind.CLOCK_BACK, 5, 4),))))
    node.look_and_seal(4)
    node.look_and_seal(6)
    assert [event.kind for event in node.events()] == ["clock-back"]
    assert node.agent.silent_devices == 0


def test_a_clock_behind_what_the_last_agent_stored_stands_still_too(caplog: pytest.LogCaptureFixture) -> None:
    whole = scenario(WHOLE, failures=(failure(FailureKind.CLOCK_BACK, 5, 4),))
    node = Node(World(whole))
    node.look_and_seal(0)
    node.look_and_seal(4.9)
    node.world.at_h(5)
    node.restart()
    for hour in (5, 6, 10):
        node.look_and_seal(hour)
    times = [batch.sealed_at_ns for batch in node.batches()]
    assert times == sorted(times)
    assert len(caplog.records) == 1
    assert totals(node.batches())["a", "flop"] == truth(whole)["a"]


def test_a_device_that_falls_silent_is_said_once_and_what_it_missed_is_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    whole = scenario(WHOLE, failures=(failure(FailureKind.DEVICE_LOST, 3, 2, node=0, gpu=1),))
    node = Node(World(whole))
    lost = node.backend.devices()[1].id
    silent = []
    for hour in (0, 3, 3.5, 4, 4.5, 5, 10):
        node.look_and_seal(hour)
        silent.append(node.agent.silent_devices)
    assert silent == [0, 0, 1, 1, 1, 0, 0]
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        f"{lost}: the GPU has fallen off the bus"
    ]
    kinds = [(event.kind, event.device) for event in node.events()]
    assert kinds == [("device-silent", lost), ("device-back", lost), ("reset", lost)]
    counted = totals(node.batches())
    assert counted["a", "flop"] == truth(whole)["a"]
    assert counted["a", "observed_ns"] == (10 + 8) * HOUR_NS
    assert counted[UNATTRIBUTED, "gap_ns"] == 2 * HOUR_NS
    assert ("a", "gap_ns") not in counted


def full(node: Node, *, disk: bool) -> None:
    """Let the outbox grow by nothing, or again by as much as it likes."""
    node.outbox._db.execute(f"PRAGMA max_page_count = {1 if disk else 1_000_000}")


def test_a_full_disk_stops_no_counting_and_the_next_batch_carries_everything(caplog: pytest.LogCaptureFixture) -> None:
    whole = scenario(WHOLE)
    node = Node(World(whole))
    node.look_and_seal(0)
    full(node, disk=True)
    hour = 0.0
    while node.look_and_seal(hour := hour + 0.1):  # the last page that the file has is filled first
        assert hour < 5
    node.restart()
    stored = len(node.batches())
    assert [node.look_and_seal(later) for later in (6, 7, 8)] == [False] * 3
    assert len(node.batches()) == stored
    full(node, disk=False)
    assert node.look_and_seal(10)
    # Each of the two agents said it once.
    assert [record.getMessage() for record in caplog.records] == [
        *["the outbox :memory: cannot be written (database or disk is full): sealing waits, counting goes on"] * 2,
        f"sealing goes on: what was counted meanwhile is in batch {stored}",
    ]
    last = node.batches()[-1]
    assert (last.seq, len(last.devices)) == (stored, 2)
    assert [event.kind for event in last.events] == ["start", "attribution", "run"]
    check_chain(node.batches())
    counted = totals(node.batches())
    assert counted["a", "flop"] == truth(whole)["a"]
    assert counted["a", "observed_ns"] == 2 * LENGTH_NS


def test_a_loops_reports_are_counted_once_through_crashes_and_failed_seals() -> None:
    node = Node(World(scenario(WHOLE)))

    def report(hour: int) -> None:
        node.look(hour)
        counters = compute(point(hour * 100, 3_600 * hour, START_NS)), tokens(point(hour, 3_600 * hour, START_NS))
        assert node.reports.accept(export(*counters)) == Refusals(0, "")

    report(1)
    assert node.agent.seal()
    report(2)
    node.restart()
    report(3)
    node.outbox._db.execute("PRAGMA query_only = 1")
    assert not node.agent.seal()
    report(4)
    node.outbox._db.execute("PRAGMA query_only = 0")
    assert node.agent.seal()
    node.restart()
    report(4)
    node.agent.seal()
    rows = [reading for batch in node.batches() for reading in batch.readings.rows()]
    said = [reading for reading in rows if reading.basis == "architecture"]
    assert sum(reading.flop or 0 for reading in said) == 400
    assert sum(reading.tokens or 0 for reading in said) == 4
    assert sum(reading.observed_ns or 0 for reading in said) == 4 * HOUR_NS
    assert {(reading.run, reading.method, reading.attribution) for reading in said} == {
        ("r1", "reported-rank", "exact")
    }


@dataclass
class Troubled:
    """A simulated backend whose calls fail when told."""

    backend: SimulatedBackend
    name: str = "troubled"
    notices: tuple[str, ...] = ()
    failing: dict[str, Exception] = field(default_factory=dict)

    def devices(self) -> Sequence[Device]:
        self._fail("devices")
        return self.backend.devices()

    def capabilities(self, device: Device) -> Sequence[Capability]:
        self._fail("capabilities")
        return self.backend.capabilities(device)

    def snapshot(self, device: Device) -> Snapshot:
        self._fail("snapshot")
        return self.backend.snapshot(device)

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        self._fail("delta")
        return self.backend.delta(before, after)

    def close(self) -> None: ...

    def _fail(self, call: str) -> None:
        if call in self.failing:
            raise self.failing[call]


@pytest.mark.parametrize("error", [Retry("the driver is away"), SkipDevice("GPU-1", "away")])
@pytest.mark.parametrize("call", ["devices", "capabilities", "snapshot"])
def test_what_cannot_be_asked_now_is_asked_again_and_nothing_is_lost(call: str, error: Exception) -> None:
    world = World(scenario(WHOLE))
    backend = Troubled(world.backend())
    node = Node(world, backend=backend)
    node.look(0)
    backend.failing[call] = error
    for tick in range(INVENTORY_EVERY_TICKS + 1):
        node.look(tick / 10)
    assert len(node.agent.devices) == 2
    assert node.agent.silent_devices == (2 if call == "snapshot" else 0)
    del backend.failing[call]
    node.look_and_seal(10)
    assert len(node.batches()[0].devices) == 2
    assert totals(node.batches())["a", "flop"] == truth(world.scenario)["a"]


def test_counters_that_mean_nothing_any_more_make_a_gap() -> None:
    world = World(scenario(WHOLE))
    backend = Troubled(world.backend())
    node = Node(world, backend=backend)
    node.look(0)
    node.look(4)
    backend.failing["delta"] = SkipDevice("GPU-1", "a counter went back")
    node.look(5)
    del backend.failing["delta"]
    node.look_and_seal(10)
    counted = totals(node.batches())
    assert counted["a", "gap_ns"] == 2 * HOUR_NS
    assert counted["a", "observed_ns"] == 2 * 9 * HOUR_NS
    assert counted["a", "flop"] < truth(world.scenario)["a"] < counted["a", "flop_high"]
    assert [event.kind for event in node.events()] == ["reset", "reset"]


def named(node: Node) -> list[tuple[str | None, dict[str, str | int | None]]]:
    events = (event for batch in node.batches() for event in batch.events if event.kind == "run")
    return [(event.run, dict(event.detail)) for event in events]


def test_what_a_process_names_of_its_run_is_sealed_once_in_each_life_of_the_agent() -> None:
    node = Node(World(scenario(WHOLE)))
    said = ("a", {"model": "model", "purpose": "pre-training", "dtype": "bf16", "source": "environment"})
    for hour in (0, 1, 2):
        node.look_and_seal(hour)
    assert named(node) == [said]
    node.restart()
    node.look_and_seal(3)
    node.look_and_seal(4)
    assert named(node) == [said, said]


def test_what_a_training_loop_names_of_its_run_is_sealed_and_what_it_leaves_open_is_not() -> None:
    node = Node(World(scenario(WHOLE)), sources=[Environment(lambda _: {})])
    bare = {"flopledger.run.id": "r1", "service.instance.id": "p1"}
    node.look_and_seal(0)
    start_ns = START_NS - SECOND_NS
    node.reports.accept(export(compute(point(5, start_ns=start_ns)), resource=bare))
    node.look_and_seal(1)
    assert named(node) == []
    for model in ("m", "m", "n"):
        resource = {**bare, "service.instance.id": "p2", "flopledger.model.id": model}
        node.reports.accept(export(compute(point(5, start_ns=start_ns)), resource=resource))
        node.agent.seal()
    assert named(node) == [("r1", {"model": name, "source": "otlp"}) for name in ("m", "n")]
