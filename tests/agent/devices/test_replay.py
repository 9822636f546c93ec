"""A trace played back says what the recorded backend said."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.devices.interface import Delta, Device, Method, Snapshot
from agent.devices.replay import Recorder, ReplayBackend
from agent.devices.simulated.scenario import FailureKind, Scenario
from agent.devices.trace import TraceInvalid
from agent.errors import SkipDevice
from tests.agent.devices.simulated.fleets import HOUR_NS, START_NS, World, failure, run, scenario, scenarios

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.devices.interface import Backend

RESUMABLE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Seen:
    """What a backend said at each of some times: snapshots or the reason for none, and deltas between neighbours."""

    def __init__(self, world: World, backend: Backend, times: list[int]) -> None:
        self.devices: list[list[Device]] = []
        self.snapshots: list[list[Snapshot | str]] = []
        self.deltas: list[Delta | None] = []
        last: dict[str, Snapshot] = {}
        for world.now_ns in times:
            self.devices.append(list(backend.devices()))
            self.snapshots.append([self._look(backend, device, last) for device in self.devices[-1]])

    def _look(self, backend: Backend, device: Device, last: dict[str, Snapshot]) -> Snapshot | str:
        try:
            after = backend.snapshot(device)
        except SkipDevice as skip:
            return skip.reason
        before = last.get(device.id)
        if before is not None and before.epoch == after.epoch:
            self.deltas.append(backend.delta(before, after))
        last[device.id] = after
        return after


def recorded(world: World, path: Path, times: list[int], node: int = 0) -> Seen:
    world.now_ns = times[0]
    recorder = Recorder(world.backend(node), path, world.time)
    seen = Seen(world, recorder, times)
    recorder.close()
    return seen


def hourly(*hours: float) -> list[int]:
    return [START_NS + int(hour * HOUR_NS) for hour in hours]


@RESUMABLE
@given(scenarios(), st.lists(st.integers(0, 2_100 * 10**9), min_size=2, max_size=20, unique=True))
def test_devices_snapshots_and_deltas_are_those_recorded(
    tmp_path_factory: pytest.TempPathFactory, whole: Scenario, offsets: list[int]
) -> None:
    steady = replace(whole, failures=tuple(one for one in whole.failures if one.kind is not FailureKind.CLOCK_BACK))
    world = World(steady)
    path = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    times = [START_NS + offset for offset in sorted(offsets)]
    said = recorded(world, path, times)
    world.now_ns = times[0]
    played = Seen(world, ReplayBackend(path, world.time), times)
    assert played.devices == said.devices
    assert played.snapshots == said.snapshots
    assert played.deltas == said.deltas


@pytest.mark.parametrize("method", [Method.GPM, Method.BUSY])
def test_deltas_of_a_backend_that_hides_its_counters_are_those_recorded(tmp_path: Path, method: Method) -> None:
    reset = failure(FailureKind.RESET, 6, node=0, gpu=0)
    world = World(scenario(method=method, failures=(failure(FailureKind.INTERRUPTION, 4), reset)))
    times = hourly(0, 0.5, 2, 3, 4, 5, 6, 7, 9.5)
    said = recorded(world, tmp_path / "trace", times)
    played = Seen(world, ReplayBackend(tmp_path / "trace", world.time), times)
    assert played.deltas == said.deltas
    assert len(said.deltas) == 15
    assert all(delta is not None and delta.method is method for delta in said.deltas)
    assert {snapshot.resumable for at_once in played.snapshots for snapshot in at_once} == {False}  # type: ignore[union-attr]


def test_a_delta_over_many_lines_is_the_sum_of_theirs_with_the_clock_over_all_of_them(tmp_path: Path) -> None:
    world = World(scenario(run(from_ns=2 * HOUR_NS), method=Method.GPM))
    recorded(world, tmp_path / "trace", hourly(0, 1, 3, 4))
    backend = ReplayBackend(tmp_path / "trace", world.time)
    device = backend.devices()[0]
    seen = []
    for world.now_ns in hourly(0, 1, 3, 4):
        seen.append(backend.snapshot(device))
    parts = [backend.delta(before, after) for before, after in pairwise(seen)]
    whole = backend.delta(seen[0], seen[-1])
    assert whole is not None
    assert whole.observed_ns == 4 * HOUR_NS
    assert whole.cycles.tensor == sum(part.cycles.tensor or 0 for part in parts if part is not None)
    assert [part and part.clock_mhz for part in parts] == [(345,) * 3, (345, 1_050, 1_755), (1_755,) * 3]
    assert whole.clock_mhz == (345, (345 + 2 * 1_050 + 1_755) // 4, 1_755)
    assert whole.flags == {"clock-sampled"}


def test_between_two_lines_the_earlier_one_holds(tmp_path: Path) -> None:
    world = World(scenario())
    recorded(world, tmp_path / "trace", hourly(1, 2))
    backend = ReplayBackend(tmp_path / "trace", world.time)
    device = backend.devices()[0]
    world.at_h(1.9)
    early = backend.snapshot(device)
    assert early.at_ns == START_NS + HOUR_NS
    world.at_h(77)
    assert backend.snapshot(device).at_ns == START_NS + 2 * HOUR_NS
    assert backend.delta(early, early) is None
    world.at_h(0.9)
    with pytest.raises(SkipDevice, match="nothing is recorded of it yet"):
        backend.snapshot(device)


def test_a_stored_snapshot_finds_its_place_again(tmp_path: Path) -> None:
    world = World(scenario())
    recorded(world, tmp_path / "trace", hourly(1, 2, 3))
    first = ReplayBackend(tmp_path / "trace", world.time)
    world.at_h(1)
    stored = replace(first.snapshot(first.devices()[0]), handle=None)
    world.at_h(3)
    second = ReplayBackend(tmp_path / "trace", world.time)
    delta = second.delta(stored, second.snapshot(second.devices()[0]))
    assert delta is not None
    assert delta.observed_ns == 2 * HOUR_NS
    with pytest.raises(SkipDevice, match="not of this trace"):
        second.delta(replace(stored, at_ns=5), second.snapshot(second.devices()[0]))


def test_a_device_that_could_not_be_read_cannot_be_read_again(tmp_path: Path) -> None:
    world = World(scenario(failures=(failure(FailureKind.DEVICE_LOST, 3, 2, node=0, gpu=0),)))
    recorded(world, tmp_path / "trace", hourly(3, 4, 5))
    backend = ReplayBackend(tmp_path / "trace", world.time)
    world.at_h(4)
    with pytest.raises(SkipDevice, match="fallen off the bus"):
        backend.snapshot(backend.devices()[0])
    world.at_h(5)
    assert backend.snapshot(backend.devices()[0]).counters["tensor"] == 0


def test_lines_whose_clock_went_back_are_played_in_the_order_of_the_file(tmp_path: Path) -> None:
    world = World(scenario(failures=(failure(FailureKind.CLOCK_BACK, 3, 1),)))
    said = recorded(world, tmp_path / "trace", hourly(2, 2.9, 3.1, 5))
    assert [one.at_ns for one, _ in said.snapshots if isinstance(one, Snapshot)] == hourly(2, 2.9, 2.1, 4)
    backend = ReplayBackend(tmp_path / "trace", world.time)
    world.at_h(2.5)
    first = backend.snapshot(backend.devices()[0])
    world.at_h(2.9)
    second = backend.snapshot(backend.devices()[0])
    assert (first.at_ns, second.at_ns) == (START_NS + 2 * HOUR_NS, hourly(2.1)[0])
    delta = backend.delta(first, second)
    assert delta is not None
    assert delta.observed_ns == hourly(3.1)[0] - hourly(2)[0]


def test_capabilities_are_as_recorded(tmp_path: Path) -> None:
    world = World(scenario(method=Method.GPM))
    recorded(world, tmp_path / "trace", hourly(0, 1))
    backend, original = ReplayBackend(tmp_path / "trace", world.time), world.backend()
    (device, _) = backend.devices()
    assert backend.capabilities(device) == original.capabilities(device)
    backend.close()


def test_a_recorder_is_the_backend_it_records(tmp_path: Path) -> None:
    world = World(scenario())
    recorder, plain = Recorder(world.backend(), tmp_path / "trace", world.time), world.backend()
    (device, _) = recorder.devices()
    assert recorder.name == plain.name
    assert recorder.capabilities(device) == plain.capabilities(device)
    assert recorder.snapshot(device) == plain.snapshot(device)
    recorder.close()


def test_a_snapshot_that_comes_too_soon_is_not_recorded(tmp_path: Path) -> None:
    recorded(World(scenario()), tmp_path / "trace", hourly(1, 1, 1))
    assert len((tmp_path / "trace").read_text().splitlines()) == 1 + 2


def test_an_older_trace_is_never_written_over(tmp_path: Path) -> None:
    world = World(scenario())
    recorded(world, tmp_path / "trace", hourly(1, 2))
    with pytest.raises(TraceInvalid, match="trace: File exists; a trace is written to a new file"):
        Recorder(world.backend(), tmp_path / "trace", world.time)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: lines[0].update(schema="flopledger.trace/2"), "line 1: schema: Input should be"),
        (lambda lines: lines[0].update(colour=1), "line 1: colour: Extra inputs are not permitted"),
        (
            lambda lines: lines[2].update(counters={"sm": "1"}),
            "line 3: snapshot.counters.sm: Input should be a valid int",
        ),
        (lambda lines: lines[2].update(counters={"sm": -1}), "line 3: snapshot.counters.sm: Input should be greater"),
        (lambda lines: lines[2].update(counters={"x": 1}), "line 3: snapshot.counters: no such counter: x"),
        (lambda lines: lines[3].pop("epoch"), "line 4: snapshot.epoch: Field required"),
        (lambda lines: lines[3].update(kind="x"), "line 4: Input tag 'x' found using 'kind' does not match"),
        (lambda lines: lines[4].update(device="gpu"), "line 5: device: gpu is not among the devices listed before"),
        (lambda lines: lines[4]["counters"].update(sm=0), "line 5: counters.sm: goes back within reset epoch"),
        (
            lambda lines: lines[4]["interval"].update(method="guess"),
            "line 5: snapshot.interval.method: Input should be",
        ),
    ],
)
def test_a_spoilt_line_is_named(tmp_path: Path, spoil: Callable[[list[dict[str, object]]], object], said: str) -> None:
    path = tmp_path / "trace"
    recorded(World(scenario()), path, hourly(1, 2))
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    spoil(lines)
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    with pytest.raises(TraceInvalid) as refused:
        ReplayBackend(path, lambda: 0)
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "line 1: Invalid JSON"), (b"[]", "line 1: Input should be an object")]
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "trace").write_bytes(content)
    with pytest.raises(TraceInvalid, match=said):
        ReplayBackend(tmp_path / "trace", lambda: 0)


def test_a_line_cut_short_by_a_crash_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    recorded(World(scenario()), path, hourly(1, 2))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TraceInvalid, match="line 5: Invalid JSON"):
        ReplayBackend(path, lambda: 0)


def test_a_trace_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceInvalid, match="none: No such file"):
        ReplayBackend(tmp_path / "none", lambda: 0)
