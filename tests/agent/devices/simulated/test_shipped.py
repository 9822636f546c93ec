"""What the shipped scenarios promise."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from agent.devices.simulated.fleet import Fleet
from agent.devices.simulated.scenario import FailureKind, Scenario, Scope
from agent.devices.simulated.scenario_file import load_shipped
from agent.devices.simulated.truth import reported_truth, truth, write_truth
from compute.architecture import six_pd
from tests.agent.devices.simulated.fleets import HOUR_NS, SECOND_NS, World, watch

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = "llama-3.1-405b"
GPUS = 16_384


@cache
def llama() -> tuple[Scenario, Fleet]:
    scenario = load_shipped(LLAMA)
    return scenario, Fleet(scenario)


def comments() -> str:
    text = (files("agent.devices.simulated") / "scenarios" / f"{LLAMA}.toml").read_text(encoding="utf-8")
    return " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))


def test_llama_has_exactly_16384_devices_and_all_of_them_work() -> None:
    scenario, fleet = llama()
    devices = {gpu.device.id: gpu for node in fleet.nodes for gpu in fleet.gpus(node)}
    assert len(devices) == GPUS
    at_ns = scenario.start_ns + 3 * HOUR_NS
    assert all(gpu.alive(gpu.timeline.position(at_ns), at_ns) for gpu in devices.values())


def test_llama_executes_what_was_published() -> None:
    scenario, _ = llama()
    assert 37.5e24 < truth(scenario)[LLAMA] < 38.5e24
    assert 72 <= scenario.length_ns / (24 * HOUR_NS) <= 80


def test_llama_reports_six_times_parameters_times_tokens() -> None:
    said = reported_truth(llama()[0])[LLAMA]
    assert (said.scope, said.tokens) == (Scope.RUN, 15_600_000_000_000)
    assert said.flop == six_pd(405 * 10**9, 15_600_000_000_000) == 37_908 * 10**21


def test_llama_reports_its_last_token_in_its_last_hour() -> None:
    scenario, fleet = llama()
    (run,) = scenario.runs
    assert run.reporter is not None
    first = [phase for phase in fleet.timelines[0][0].phases if phase.first]
    never_ending = sum(phase.end_ns - phase.start_ns for phase in first) * run.reporter.tokens_per_s // SECOND_NS
    assert 0 <= never_ending - 15_600_000_000_000 < run.reporter.tokens_per_s * 3_600


def in_comments(pattern: str) -> float:
    found = re.search(pattern, comments())
    assert found is not None
    return float(found[1])


def test_llama_does_400_tflop_per_second_but_for_the_short_interruptions_its_comment_speaks_of() -> None:
    (run,) = llama()[0].runs
    rate = 132 * 4_096 * run.clock_mhz * run.activity_ppm
    folded = in_comments(r"and (\d+\.\d) % of the time is taken off") / 100
    assert rate / (1 - folded) == pytest.approx(400e12, rel=0.001)


def test_llama_is_effective_for_as_much_of_the_time_as_its_comment_says() -> None:
    scenario, fleet = llama()
    (run,) = scenario.runs
    at_work_ns = sum(
        phase.end_ns - phase.start_ns
        for timelines in fleet.timelines
        for timeline in timelines
        for phase in timeline.phases
        if phase.run is not None
    )
    rate = 132 * 4_096 * run.clock_mhz * run.activity_ppm
    effective = rate / 400e12 * at_work_ns / (GPUS * (run.until_ns - run.from_ns))
    assert effective > 0.90
    assert 100 * effective == pytest.approx(in_comments(r"about (\d+) % of the time is effective"), abs=0.5)


def test_llama_has_the_failures_it_speaks_of() -> None:
    kinds = [failure.kind for failure in llama()[0].failures]
    assert set(kinds) == set(FailureKind)
    assert kinds.count(FailureKind.INTERRUPTION) == in_comments(r"Only (\d+) interruptions are simulated")


def test_llama_is_looked_at_rarely_enough_to_be_played_in_a_minute() -> None:
    _, fleet = llama()
    assert max(len(fleet.instants(node)) for node in fleet.nodes) < 90


def test_small_is_counted_exactly_even_by_an_agent_that_looks_only_twice() -> None:
    world = World(load_shipped("small"))
    starts_and_ends = {(phase.start_ns, phase.end_ns) for lines in world.fleet.timelines for phase in lines[0].phases}
    assert (world.scenario.start_ns, world.scenario.end_ns) in starts_and_ends
    world.now_ns = world.scenario.start_ns
    assert all(pids(world, node) for node in world.fleet.nodes)
    before = [pids(world, node) for node in world.fleet.nodes]
    world.now_ns = world.scenario.end_ns
    assert before == [pids(world, node) for node in world.fleet.nodes]
    assert dict(watch(world).flop) == truth(world.scenario)


def test_the_truth_can_be_kept_as_a_file(tmp_path: Path) -> None:
    scenario = load_shipped("small")
    write_truth(scenario, tmp_path / "truth.json")
    kept = json.loads((tmp_path / "truth.json").read_text())
    assert kept["schema"] == "flopledger.truth/1"
    assert {run_id: int(run["flop"]) for run_id, run in kept["runs"].items()} == truth(scenario)
    said = reported_truth(scenario)["small-pretrain"]
    assert kept["runs"]["small-pretrain"] | {"flop": ""} == {
        "flop": "",
        "reported_scope": "rank",
        "reported_flop": str(said.flop),
        "reported_tokens": str(said.tokens),
    }
    assert kept["runs"]["small-finetune"]["reported_flop"] is None


def pids(world: World, node: int) -> list[int]:
    backend = world.backend(node)
    return [use.key.pid for device in backend.devices() for use in backend.snapshot(device).processes]
