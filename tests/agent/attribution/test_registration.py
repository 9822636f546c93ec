"""Files in which processes say what run they are, after their start."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from agent.attribution.cgroup import Cgroup
from agent.attribution.interface import Claim
from agent.attribution.process_facts import ProcessFacts
from agent.attribution.registration import Registration
from compute.precision import Dtype
from tests.agent.attribution.proc import BOOT_UNIX_NS, GPU, POD_UID, Proc, pod_cgroup

if TYPE_CHECKING:
    from pathlib import Path

SAID = {"run_id": "r", "model_id": "m", "purpose": "rl", "dtype": "fp8"}
CLAIM = Claim("r", True, "rl", Dtype.FP8, "m")


class Node:
    def __init__(self, root: Path) -> None:
        self.proc = Proc(root / "proc")
        self.directory = root / "runs"
        self.directory.mkdir()
        cgroup = Cgroup(self.proc.facts.cgroup, "c")
        self.source = Registration(self.directory, self.proc.facts, cgroup.known_place)

    def write(self, name: str, content: str = json.dumps(SAID)) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_process_says_what_it_learned_after_its_start(node: Node) -> None:
    process = node.proc.add(11)
    assert node.source.claim(process) is None
    node.write("11.json")
    assert node.source.claim(process, GPU) == CLAIM
    node.write("11.json", '{"run_id": "next"}')
    assert node.source.claim(process) == Claim("next", True)


def test_in_a_pod_the_pids_are_the_pods_own(node: Node) -> None:
    inside = node.proc.add(4711, pod_cgroup(), inner=1)
    outside = node.proc.add(1)
    node.write(f"{POD_UID}/1.json")
    assert node.source.claim(inside) == CLAIM
    assert node.source.claim(outside) is None


def test_another_users_file_counts_for_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = node.proc.add(11)
    node.write("11.json")
    other = os.getuid() + 1
    monkeypatch.setattr(ProcessFacts, "uid", lambda *_: other)
    assert [node.source.claim(process) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert f"user {os.getuid()} wrote it, and process 11 is user {other}'s" in caplog.text


def test_what_an_earlier_process_with_the_pid_left_behind_is_not_its_own(node: Node) -> None:
    process = node.proc.add(11)
    path = node.write("11.json")
    node.proc.facts._boot_unix_ns = lambda: path.stat().st_ctime_ns + 2_000_000_000
    assert node.source.claim(process) is None
    node.proc.facts._boot_unix_ns = lambda: BOOT_UNIX_NS
    assert node.source.claim(process) == CLAIM


def test_a_link_is_not_followed_and_a_pipe_not_waited_for(node: Node, tmp_path: Path) -> None:
    process = node.proc.add(11)
    target = tmp_path / "secret.json"
    target.write_text(json.dumps(SAID))
    (node.directory / "11.json").symlink_to(target)
    assert node.source.claim(process) is None
    (node.directory / "11.json").unlink()
    os.mkfifo(node.directory / "11.json")
    assert node.source.claim(process) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"run_id": 7}', '{"run_id": {}}', "[" * 3_000, json.dumps({"run_id": "x" * 5_000}), "\xff"],
)
def test_what_is_no_registration_is_said_once(node: Node, content: str, caplog: pytest.LogCaptureFixture) -> None:
    process = node.proc.add(11)
    (node.directory / "11.json").write_bytes(content.encode("latin-1"))
    assert [node.source.claim(process) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert "must be JSON like" in caplog.text


def test_a_process_that_ended_has_said_nothing(node: Node) -> None:
    process = node.proc.add(11)
    node.write("11.json")
    for file in (node.proc.root / "11").iterdir():
        file.unlink()
    (node.proc.root / "11").rmdir()
    assert node.source.claim(process) is None
