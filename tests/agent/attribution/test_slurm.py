"""Files that a Slurm prolog wrote, in both layouts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent.attribution.interface import Claim
from agent.attribution.slurm import SlurmProlog
from agent.devices.interface import Device, ProcessKey
from tests.agent.attribution.proc import GPU

if TYPE_CHECKING:
    from pathlib import Path

PROCESS = ProcessKey(11, 0, "boot")
HIDDEN = ProcessKey(0, 5, "boot")
MIG = Device("MIG-b", "mig", "H100 MIG", None, 16, 1980, parent="GPU-a", place="0.3")


def prolog(root: Path, uids: dict[int, int] | None = None, own_uid: int | None = None) -> SlurmProlog:
    return SlurmProlog([root / "missing", root], "c", (uids or {}).get, own_uid)


@pytest.mark.parametrize("name", ["GPU-a", "0"])
@pytest.mark.parametrize("content", ["1234 1000", "1234 1000\n", "1234\n", "\n 1234 \n"])
def test_either_layout_names_the_job_of_a_gpu(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert prolog(tmp_path).claim(PROCESS, GPU) == Claim("slurm:c:1234")
    assert prolog(tmp_path).claim(HIDDEN, GPU) == Claim("slurm:c:1234")


def test_an_instance_is_the_gpu_and_a_number_behind_a_dot(tmp_path: Path) -> None:
    (tmp_path / "0.3").write_text("77\n")
    (tmp_path / "0").write_text("1\n")
    assert prolog(tmp_path).claim(PROCESS, MIG) == Claim("slurm:c:77")


def test_another_users_process_is_not_the_jobs(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("1234 1000")
    assert prolog(tmp_path, {11: 1000}).claim(PROCESS, GPU) == Claim("slurm:c:1234")
    assert prolog(tmp_path, {11: 0}).claim(PROCESS, GPU) is None


def test_of_several_jobs_on_one_gpu_it_cannot_tell_which(tmp_path: Path) -> None:
    (tmp_path / "0").write_text("1\n2\n")
    assert prolog(tmp_path).claim(PROCESS, GPU) is None


def test_the_next_job_is_seen_when_the_prolog_wrote_it(tmp_path: Path) -> None:
    source = prolog(tmp_path)
    assert source.claim(PROCESS, GPU) is None
    (tmp_path / "0").write_text("1 1000")
    assert source.claim(PROCESS, GPU) == Claim("slurm:c:1")
    (tmp_path / "0").write_text("2 1000")
    assert source.claim(PROCESS, GPU) == Claim("slurm:c:2")
    (tmp_path / "0").unlink()
    assert source.claim(PROCESS, GPU) is None


def test_what_others_than_root_may_have_written_proves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0").write_text("1234")
    (tmp_path / "0").chmod(0o666)
    assert prolog(tmp_path).claim(PROCESS, GPU) is None
    (tmp_path / "0").chmod(0o644)
    if os.getuid() == 0:
        os.chown(tmp_path / "0", 1000, 1000)
        assert prolog(tmp_path).claim(PROCESS, GPU) is None
    else:
        assert prolog(tmp_path, own_uid=0).claim(PROCESS, GPU) is None
    assert "others than root may write it" in caplog.text


@pytest.mark.parametrize("content", ["a b\n", "../../etc 1\n", "x" * 100, "é\n", "1 2x\n", "-1\n"])
def test_a_line_that_is_no_job_is_said_once_and_left_out(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "0").write_text(content)
    source = prolog(tmp_path)
    assert [source.claim(PROCESS, GPU) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert "a line is a job id" in caplog.text


def test_a_directory_where_a_file_should_be_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "0").mkdir()
    assert prolog(tmp_path).claim(PROCESS, GPU) is None
    assert "cannot be read" in caplog.text
