from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import NodeLocked
from agent.node_lock import default_path, lock_node

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from agent.node_lock import lock_node
held = lock_node(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.lock"


@pytest.fixture
def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the node until its input ends."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_agent_is_refused_with_the_pid_of_the_first(path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(NodeLocked) as caught:
        lock_node(path)
    assert f"another agent (pid {holder.pid}) already counts this node and holds {path}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    holder.communicate()
    with lock_node(path):
        assert path.read_text() == str(os.getpid())


def test_a_node_is_free_again_when_its_holder_was_killed(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    with lock_node(path):
        assert path.read_text() == str(os.getpid())


def test_one_process_holds_it_once_too(path: Path) -> None:
    with lock_node(path), pytest.raises(NodeLocked, match=f"pid {os.getpid()}"):
        lock_node(path)


def test_letting_go_lets_the_next_one_in(path: Path) -> None:
    lock_node(path).close()
    lock_node(path).close()


def test_a_longer_pid_of_an_earlier_holder_leaves_no_digits(path: Path) -> None:
    path.write_text("123456789012345")
    with lock_node(path):
        assert path.read_text() == str(os.getpid())


def test_a_child_that_outlives_the_agent_does_not_hold_the_node(path: Path) -> None:
    held = lock_node(path)
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        held.close()
        lock_node(path).close()
        child.communicate(b"\n")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NodeLocked, match="set FLOPLEDGER_NODE_LOCK to a file that may be written"):
        lock_node(tmp_path / "nowhere" / "agent.lock")


def test_every_user_of_a_host_meets_at_the_same_place() -> None:
    assert default_path() == default_path()
    assert default_path().name == "flopledger-agent.lock"
    assert default_path().parent.is_dir()
