"""From several sources to one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.attribution.assembly import Refreshing, make_sources
from agent.attribution.interface import Claim, RunIdentity
from agent.attribution.process_facts import ProcessFacts
from agent.attribution.sources import MAX_REMEMBERED, RECHECK_NS, Attribution, Named
from agent.devices.interface import ProcessKey
from cli.settings import load
from compute.precision import Dtype
from tests.agent.attribution.proc import GPU

if TYPE_CHECKING:
    import pytest

PROCESS = ProcessKey(11, 7, "boot")


@dataclass
class Source:
    """A source that says one thing."""

    answer: Claim | None
    written_by_root: bool = False
    changes: bool = False
    name: str = "source"
    asked: int = 0

    def claim(self, process: ProcessKey, device: object) -> Claim | None:
        del process, device
        self.asked += 1
        return self.answer


def identified(*sources: Source, processes_may_name: bool = True) -> RunIdentity | None:
    return Attribution(sources, lambda: 0, processes_may_name=processes_may_name).identify(PROCESS, GPU)


JOB = Source(Claim("slurm:c:1"), written_by_root=True, name="slurm-prolog")
POD = Source(Claim("k8s:c:n/p"), written_by_root=True, name="pod-resources")
SELF = Source(Claim("mine", True, "rl", Dtype.BF16, "m"), name="environment")
TRACKER = Source(Claim("wandb:w"), name="job-environment")
NOBODY = Source(None)


def test_the_first_that_knows_a_run_is_believed() -> None:
    assert identified(NOBODY, JOB, POD, TRACKER) == RunIdentity("slurm:c:1")
    assert identified(NOBODY, TRACKER) == RunIdentity("wandb:w")
    assert identified(NOBODY) is None
    assert identified() is None


def test_an_id_that_somebody_chose_goes_before_one_that_was_derived() -> None:
    assert identified(JOB, SELF) == RunIdentity("mine", "rl", Dtype.BF16, "m")
    label = Source(Claim("labelled", True), written_by_root=True)
    assert identified(JOB, label, SELF) == RunIdentity("labelled", "rl", Dtype.BF16, "m")


def test_where_processes_may_not_name_runs_they_still_say_what_they_compute_in() -> None:
    assert identified(JOB, SELF, processes_may_name=False) == RunIdentity("slurm:c:1", "rl", Dtype.BF16, "m")
    assert identified(NOBODY, SELF, processes_may_name=False) == RunIdentity("mine", "rl", Dtype.BF16, "m")


def test_details_come_from_whoever_states_them_first_but_the_runs_own_go_before() -> None:
    root = Source(Claim(dtype=Dtype.FP8, model="root's"), written_by_root=True)
    assert identified(root, SELF) == RunIdentity("mine", "rl", Dtype.BF16, "m")
    assert identified(root, TRACKER) == RunIdentity("wandb:w", dtype=Dtype.FP8, model="root's")


def test_details_without_a_run_are_nobodys() -> None:
    assert identified(Source(Claim(dtype=Dtype.FP8))) is None


def test_an_answer_is_kept_for_good_only_if_no_source_can_change_it() -> None:
    fixed, changing = Source(Claim("a")), Source(Claim("a"), changes=True)
    for source in (fixed, changing):
        times_ns = iter([0, 0, RECHECK_NS - 1, RECHECK_NS, RECHECK_NS])
        attribution = Attribution([source], partial(next, times_ns))
        for _ in range(4):
            attribution.identify(PROCESS, GPU)
    assert (fixed.asked, changing.asked) == (1, 2)


def test_an_id_that_is_learned_late_counts_from_then_on() -> None:
    now_ns = 0
    source = Source(None, changes=True)
    attribution = Attribution([JOB, source], lambda: now_ns)
    assert attribution.identify(PROCESS, GPU) == RunIdentity("slurm:c:1")
    source.answer = Claim("late", True)
    now_ns = RECHECK_NS
    assert attribution.identify(PROCESS, GPU) == RunIdentity("late")


def test_it_is_said_once_who_named_a_run_and_which_job_that_was_in() -> None:
    attribution = Attribution([JOB, SELF], lambda: 0)
    for pid in (1, 2, 3):
        attribution.identify(ProcessKey(pid, 7, "boot"), GPU)
    assert attribution.news() == [Named("mine", "environment", "slurm:c:1")]
    assert attribution.news() == []


def test_memory_is_bounded() -> None:
    source = Source(Claim("a"))
    attribution = Attribution([source], lambda: 0)
    for pid in range(MAX_REMEMBERED + 1):
        attribution.identify(ProcessKey(pid, 7, "boot"), GPU)
    attribution.identify(ProcessKey(0, 7, "boot"), GPU)
    assert source.asked == MAX_REMEMBERED + 2


def test_a_cpu_is_watched_for_processes_whose_run_somebody_chose() -> None:
    assert Attribution([SELF], lambda: 0).names_itself(PROCESS, GPU)
    assert not Attribution([JOB, TRACKER], lambda: 0).names_itself(PROCESS, GPU)


def test_the_settings_name_the_sources_and_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        return [source.name for source in make_sources(load(), ProcessFacts())[0]]

    assert names() == ["slurm-prolog", "pod-resources", "cgroup", "environment", "job-environment", "registration"]
    monkeypatch.setenv("FLOPLEDGER_ATTRIBUTION", json.dumps(["environment", "pod-labels", "environment"]))
    assert names() == ["environment", "pod-labels"]
    monkeypatch.setenv("FLOPLEDGER_ATTRIBUTION", "[]")
    assert names() == []
    monkeypatch.undo()
    monkeypatch.setenv("FLOPLEDGER_BACKENDS", json.dumps(["simulated"]))
    assert names() == []


def test_real_processes_are_looked_at_through_the_real_proc() -> None:
    facts = ProcessFacts()
    environ = {"FLOPLEDGER_RUN_ID": "child"}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], env=environ, stdin=subprocess.PIPE
    ) as child:
        while not facts.environ(child.pid):
            time.sleep(0.001)
        assert facts.environ(child.pid) == environ
        assert facts.uid(child.pid) == os.getuid()
        assert facts.inner_pid(child.pid) == child.pid
        assert facts.cgroup(child.pid).count(":") >= 2
        ticks = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
        started_ns = facts.started_unix_ns(ProcessKey(child.pid, ticks, ""))
        assert abs(time.time_ns() - started_ns) < 60e9
        assert child.stdin is not None
        child.stdin.close()
    assert facts.environ(child.pid) == {}
    assert (facts.uid(child.pid), facts.cgroup(child.pid)) == (None, "")
    assert (facts.uid(0), facts.cgroup(0)) == (None, "")


def test_what_goes_wrong_in_a_refresh_stops_neither_it_nor_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def fails() -> None:
        asked.append(1)
        raise ValueError("surprise")

    refreshing = Refreshing([fails], every_s=0.001)
    deadline_s = time.monotonic() + 10
    while len(asked) < 3 and time.monotonic() < deadline_s:
        time.sleep(0.001)
    refreshing.close()
    assert len(asked) >= 3
    assert "attribution could not be refreshed" in caplog.text


def test_http2_is_not_loaded_before_there_is_a_kubelet() -> None:
    code = "import sys, agent.assembly, agent.attribution.kubelet; sys.exit('h2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
