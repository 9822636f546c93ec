"""A small simulated fleet on one run, for tests that kill whatever counts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.devices.simulated.scenario_file import load

if TYPE_CHECKING:
    from pathlib import Path

    from agent.devices.simulated.scenario import Scenario

_TEXT = """
start = {start}
length = "{length_s}s"
seed = {seed}
cluster = "{cluster}"

[fleet]
nodes = {nodes}
gpus_per_node = 4
accelerator = "H100 SXM5 80GB"
method = "gpm-cycles"
idle_clock_mhz = 345
idle_watts = 75

[[runs]]
run_id = "{run_id}"
model_id = "{model_id}"
purpose = "pre-training"
dtype = "bf16"
activity_ppm = 410_000
jitter_ppm = 20_000
clock_mhz = 1_755
watts = 620

[reporting]
sample_every = "100ms"
schedule = [{{ every = "1s" }}]
"""


def write(
    path: Path,
    start_s: float,
    length_s: int,
    *,
    seed: int = 7,
    nodes: int = 1,
    cluster: str = "killed",
    run_id: str = "survivor",
    model_id: str = "survivor",
) -> Scenario:
    """Write it to `path` as a fleet that works from `start_s` (Unix seconds, cut to whole ones) on."""
    start = datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = _TEXT.format(
        start=start, length_s=length_s, seed=seed, nodes=nodes, cluster=cluster, run_id=run_id, model_id=model_id
    )
    path.write_text(text, encoding="utf-8")
    return load(path)
