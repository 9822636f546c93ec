"""Ids that launchers and trackers leave in the environment."""

from __future__ import annotations

import pytest

from agent.attribution.interface import Claim
from agent.attribution.job_environment import JobEnvironment
from agent.devices.interface import ProcessKey
from tests.agent.attribution.proc import GPU


@pytest.mark.parametrize(
    ("environ", "run"),
    [
        ({"SLURM_JOB_ID": "1234", "WANDB_RUN_ID": "x"}, "slurm:c:1234"),
        ({"TORCHELASTIC_RUN_ID": "t", "RANK": "3"}, "torchrun:c:t"),
        ({"TORCHELASTIC_RUN_ID": "none", "MLFLOW_RUN_ID": "m"}, "mlflow:m"),
        ({"WANDB_RUN_ID": "w", "WANDB_PROJECT": "p"}, "wandb:p/w"),
        ({"WANDB_RUN_ID": "w"}, "wandb:w"),
        ({"WANDB_RUN_ID": "w", "WANDB_PROJECT": "p" * 200}, "wandb:w"),
        ({"RAY_JOB_ID": "01000000"}, "ray:c:01000000"),
    ],
)
def test_an_id_carries_its_origin(environ: dict[str, str], run: str) -> None:
    source = JobEnvironment(lambda _: environ, "c")
    assert source.claim(ProcessKey(1, 0, "boot"), GPU) == Claim(run)


@pytest.mark.parametrize(
    "environ",
    [{}, {"TORCHELASTIC_RUN_ID": "none"}, {"SLURM_JOB_ID": " "}, {"RANK": "0"}, {"RAY_JOB_ID": "x" * 600}],
)
def test_without_an_id_there_is_none(environ: dict[str, str]) -> None:
    assert JobEnvironment(lambda _: environ, "c").claim(ProcessKey(1, 0, "boot"), GPU) is None
