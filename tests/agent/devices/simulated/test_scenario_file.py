"""Scenarios as people write them, and what they are told when they write them wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.devices.interface import Method
from agent.devices.simulated.durations import SECOND_NS, parse_duration_ns
from agent.devices.simulated.scenario import Failure, FailureKind, Reporter, ScenarioInvalid, Scope, Stretch
from agent.devices.simulated.scenario_file import load, load_shipped, scenario_from_toml, shipped
from compute.precision import Dtype
from tests.agent.devices.simulated.fleets import HOUR_NS, START_NS

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
start = 2026-01-05T12:00:00Z
length = "2d"
seed = 7
cluster = "test"

[fleet]
nodes = 4
spares = 1
gpus_per_node = 8
accelerator = "H100 SXM5 80GB"
method = "gpm"
idle_clock_mhz = 345
idle_watts = 75

[[runs]]
run_id = "a"
model_id = "m"
purpose = "pre-training"
dtype = "bf16"
nodes = { first = 1, count = 3 }
from = "1h"
until = "1d 12h"
activity_ppm = 400_000
jitter_ppm = 20_000
clock_mhz = 1_755
watts = 640

[runs.reports]
scope = "run"
tokens_per_s = 1_000
flop_per_token = 6_000
tokens_max = 5_000

[reporting]
sample_every = "90m"
schedule = [{ until = "1d", every = "1h" }, { every = "6h" }]

[[failures.listed]]
kind = "device_lost"
node = 2
gpu = 7
at = "4h"
down_for = "30m"

[[failures.listed]]
kind = "clock_back"
node = 4
at = "5h"
back_by = "250ms"

[failures.random]
reset = { count = 2, shortest = "1m", longest = "2m" }
"""


def test_all_that_a_file_says_is_in_the_scenario() -> None:
    scenario = scenario_from_toml(TEXT)
    assert (scenario.start_ns, scenario.length_ns, scenario.seed) == (START_NS, 48 * HOUR_NS, 7)
    assert (scenario.nodes, scenario.spares, scenario.gpus_per_node) == (4, 1, 8)
    assert (scenario.method, scenario.accelerator.name) == (Method.GPM, "H100 SXM5 80GB")
    (run,) = scenario.runs
    assert (run.run_id, run.model_id, run.purpose, run.dtype) == ("a", "m", "pre-training", Dtype.BF16)
    assert (run.first_node, run.node_count, run.from_ns, run.until_ns) == (1, 3, HOUR_NS, 36 * HOUR_NS)
    assert (run.activity_ppm, run.jitter_ppm, run.clock_mhz, run.watts) == (400_000, 20_000, 1_755, 640)
    assert run.reporter == Reporter(Scope.RUN, 1_000, 6_000, 5_000)
    assert scenario.sample_every_ns == 90 * 60 * SECOND_NS
    assert scenario.reports == (Stretch(24 * HOUR_NS, HOUR_NS), Stretch(48 * HOUR_NS, 6 * HOUR_NS))
    assert scenario.failures[:2] == (
        Failure(FailureKind.DEVICE_LOST, 4 * HOUR_NS, HOUR_NS // 2, node=2, gpu=7),
        Failure(FailureKind.CLOCK_BACK, 5 * HOUR_NS, SECOND_NS // 4, node=4),
    )
    assert [failure.kind for failure in scenario.failures[2:]] == [FailureKind.RESET] * 2


def test_a_run_without_nodes_and_times_has_the_whole_fleet_all_the_time() -> None:
    bare = TEXT.replace("nodes = { first = 1, count = 3 }", "").replace('from = "1h"\nuntil = "1d 12h"', "")
    (run,) = scenario_from_toml(bare).runs
    assert (run.first_node, run.node_count, run.from_ns, run.until_ns) == (0, 4, 0, 48 * HOUR_NS)


def test_an_end_may_stand_in_place_of_a_length() -> None:
    ended = TEXT.replace('length = "2d"', "end = 2026-01-07T14:00:00+02:00")
    assert scenario_from_toml(ended).length_ns == 48 * HOUR_NS


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("seed = 7", 'seed = "7"', "seed: Input should be a valid integer"),
        ("seed = 7", "seed = 7\ncolour = 1", "colour: Extra inputs are not permitted"),
        ("start = 2026-01-05T12:00:00Z", "start = 2026-01-05T12:00:00", "start: Input should have timezone info"),
        ("start = 2026-01-05T12:00:00Z", "start = 1969-01-05T12:00:00Z", "start: before 1970"),
        ('length = "2d"', "", "length: give either length or end"),
        ('length = "2d"', 'length = "2d"\nend = 2026-01-07T14:00:00Z', "length: give either length or end"),
        ('length = "2d"', "end = 2026-01-05T12:00:00Z", "end: not after start"),
        ('length = "2d"', 'length = "2 days"', "length: not a duration such as"),
        ('length = "2d"', 'length = "0s"', "length: Input should be greater than 0"),
        ("H100 SXM5", "H1000", "fleet.accelerator: no such row in the FLOP table; known: .*H100 SXM5 80GB"),
        ('"gpm"', '"dcgm"', "fleet.method: Input should be"),
        ("nodes = 4", "nodes = 3", "runs.0.nodes: beyond the fleet's 3 nodes"),
        ('until = "1d 12h"', 'until = "3d"', "runs.0.until: not after from, or after the scenario's end"),
        ('from = "1h"', 'from = "36h"', "runs.0.until: not after from, or after the scenario's end"),
        ('"bf16"', '"int8"', "runs.0.dtype: H100 SXM5 80GB has no floating-point tensor rate for int8"),
        ('"bf16"', '"fp4"', "runs.0.dtype: H100 SXM5 80GB has no floating-point tensor rate for fp4"),
        ("1_755", "1_981", "runs.0.clock_mhz: H100 SXM5 80GB does at most 1980"),
        ("400_000", "990_000", "runs.0: activity_ppm: with jitter_ppm more than 1000000"),
        ('scope = "run"', 'scope = "rank"', "runs.0.reports: tokens_max: only with scope 'run'"),
        ("gpu = 7", "gpu = 8", "failures.listed.0.gpu: beyond the node's 8 GPUs"),
        ("node = 4", "node = 5", "failures.listed.1.node: beyond the fleet's 5 nodes"),
        ('at = "5h"', 'at = "2d"', "failures.listed.1.at: after the scenario's end"),
        ("gpu = 7", "", "failures.listed.0: gpu: missing in a device_lost"),
        ("node = 4", "node = 4\ngpu = 1", "failures.listed.1: gpu: not part of a clock_back"),
        ('kind = "clock_back"\nnode = 4', 'kind = "interruption"\nrun = "b"', "failures.listed.1: down_for: missing"),
        ('shortest = "1m"', 'shortest = "3m"', "failures.random.reset: shortest: longer than longest"),
        ('longest = "2m"', 'longest = "3d"', None),
        ('{ until = "1d", every = "1h" }', '{ every = "1h" }', "only the last stretch may leave out until"),
        ('{ every = "6h" }', '{ until = "1d", every = "6h" }', "until must grow from stretch to stretch"),
        ("[fleet]", "[fleet", "at line 7"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, right: str, wrong: str, said: str | None) -> None:
    assert right in TEXT
    path = tmp_path / "scenario.toml"
    path.write_text(TEXT.replace(right, wrong))
    if said is None:
        assert len(load(path).failures) == 4
        return
    with pytest.raises(ScenarioInvalid, match=said) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_an_interruption_needs_a_run_that_is_there() -> None:
    gone = TEXT.replace('kind = "clock_back"\nnode = 4', 'kind = "interruption"\nrun = "b"').replace(
        "back_by", "down_for"
    )
    with pytest.raises(ScenarioInvalid, match=r"failures.listed.1.run: no run 'b'"):
        scenario_from_toml(gone)


def test_two_runs_share_neither_a_name_nor_a_node_at_one_time() -> None:
    block = TEXT[TEXT.index("[[runs]]") : TEXT.index("[runs.reports]")]
    same = TEXT.replace("[[runs]]", f"{block}\n[[runs]]", 1)
    with pytest.raises(ScenarioInvalid, match=r"runs.1.run_id: also that of runs.0"):
        scenario_from_toml(same)
    other = same.replace('run_id = "a"', 'run_id = "b"', 1)
    with pytest.raises(ScenarioInvalid, match=r"runs.1: on nodes of runs.0 at the same time"):
        scenario_from_toml(other)
    elsewhere = other.replace("first = 1, count = 3", "first = 0, count = 1", 1)
    assert len(scenario_from_toml(elsewhere).runs) == 2
    later = other.replace('until = "1d 12h"', 'until = "1h"', 1).replace('from = "1h"', 'from = "0s"', 1)
    assert len(scenario_from_toml(later).runs) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioInvalid, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioInvalid, match=r"binary\.toml: .*utf-8"):
        load(tmp_path / "binary.toml")


def test_scenarios_come_with_the_package() -> None:
    assert shipped() == ["llama-3.1-405b", "small"]
    with pytest.raises(ScenarioInvalid, match=r"no scenario 'big'; there are llama-3\.1-405b, small"):
        load_shipped("big")


@pytest.mark.parametrize(
    ("text", "seconds"), [("3d 4h", 273_600), ("90m", 5_400), ("1m 30s", 90), ("0s", 0), ("1h 1h", 7_200)]
)
def test_durations_are_sums_of_their_parts(text: str, seconds: int) -> None:
    assert parse_duration_ns(text) == seconds * SECOND_NS


@pytest.mark.parametrize("text", ["", " ", "3", "d", "3d4h", "-1s", "1.5h", "1 h", "3 weeks", 5, None])
def test_anything_else_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_ns(text)
