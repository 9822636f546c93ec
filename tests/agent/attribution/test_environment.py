from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.attribution.environment import Environment
from agent.attribution.interface import Claim
from agent.attribution.remembered import MAX_REMEMBERED
from agent.devices.interface import ProcessKey
from compute.precision import Dtype
from tests.wire.batches import KEY, batch, reading
from wire.opening import open_batch
from wire.seal import seal

if TYPE_CHECKING:
    from collections.abc import Mapping


def process(pid: int = 1, started: int = 7) -> ProcessKey:
    return ProcessKey(pid, started, "boot")


def claimed(**environ: str) -> Claim | None:
    return Environment(lambda _: environ).claim(process())


class Processes:
    """Environments by pid, and how often each was read."""

    def __init__(self, environs: Mapping[int, Mapping[str, str]]) -> None:
        self.environs = dict(environs)
        self.reads: list[int] = []

    def read(self, pid: int) -> Mapping[str, str]:
        self.reads.append(pid)
        return self.environs.get(pid, {})


def test_a_run_may_say_no_more_than_its_name() -> None:
    assert claimed(FLOPLEDGER_RUN_ID="r") == Claim("r", explicit=True)


def test_a_run_says_its_model_purpose_and_format_beside_its_name() -> None:
    found = claimed(FLOPLEDGER_RUN_ID=" r ", FLOPLEDGER_PURPOSE="rl", FLOPLEDGER_DTYPE=" BF16", FLOPLEDGER_MODEL_ID="m")
    assert found == Claim("r", True, "rl", Dtype.BF16, "m")


@pytest.mark.parametrize("environ", [{}, {"FLOPLEDGER_RUN_ID": ""}, {"FLOPLEDGER_RUN_ID": "  "}, {"RUN_ID": "r"}])
def test_a_process_that_names_no_run_has_none(environ: dict[str, str]) -> None:
    assert claimed(**environ) is None


@pytest.mark.parametrize("dtype", list(Dtype))
def test_every_format_may_be_declared(dtype: Dtype) -> None:
    found = claimed(FLOPLEDGER_RUN_ID="r", FLOPLEDGER_DTYPE=dtype.value)
    assert found is not None
    assert found.dtype is dtype


def test_a_format_that_nobody_knows_widens_the_bounds_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    found = claimed(FLOPLEDGER_RUN_ID="r", FLOPLEDGER_DTYPE="bf17")
    assert found == Claim("r", True, dtype=Dtype.UNDECLARED)
    assert "FLOPLEDGER_DTYPE='bf17' is no format we know" in caplog.text


@pytest.mark.parametrize("run", ["x" * 513, "r\udcff", "\ud800"])
def test_a_name_that_no_batch_can_carry_is_ignored_and_said(run: str, caplog: pytest.LogCaptureFixture) -> None:
    assert claimed(FLOPLEDGER_RUN_ID=run) is None
    assert "FLOPLEDGER_RUN_ID is ignored: it must be UTF-8 of at most 512 characters" in caplog.text
    assert len(caplog.records) == 1


def test_a_purpose_that_no_batch_can_carry_leaves_the_default(caplog: pytest.LogCaptureFixture) -> None:
    found = claimed(FLOPLEDGER_RUN_ID="r", FLOPLEDGER_PURPOSE="x" * 65, FLOPLEDGER_MODEL_ID="\udcff")
    assert found == Claim("r", explicit=True)
    assert "FLOPLEDGER_PURPOSE is ignored" in caplog.text
    assert "FLOPLEDGER_MODEL_ID is ignored" in caplog.text


def test_the_longest_names_fit_into_a_batch() -> None:
    found = claimed(FLOPLEDGER_RUN_ID="é" * 512, FLOPLEDGER_PURPOSE="x" * 64)
    assert found is not None
    assert found.run
    assert found.purpose
    sealed = seal(batch(reading(run=found.run, purpose=found.purpose)), KEY)
    assert [row.run for row in open_batch(sealed).readings.rows()] == ["é" * 512]


def test_no_run_can_call_itself_unattributed(caplog: pytest.LogCaptureFixture) -> None:
    assert claimed(FLOPLEDGER_RUN_ID="unattributed") is None
    assert "no run can be called so" in caplog.text


def test_an_environment_is_read_once_per_process() -> None:
    processes = Processes({1: {"FLOPLEDGER_RUN_ID": "r"}})
    environment = Environment(processes.read)
    for _ in range(3):
        assert environment.claim(process(1)) == Claim("r", explicit=True)
        assert environment.claim(process(2)) is None
    assert processes.reads == [1, 2]


def test_a_run_is_remembered_when_its_process_is_gone() -> None:
    processes = Processes({1: {"FLOPLEDGER_RUN_ID": "r"}})
    environment = Environment(processes.read)
    environment.claim(process(1))
    processes.environs.clear()
    assert environment.claim(process(1)) == Claim("r", explicit=True)


def test_a_later_process_with_the_same_pid_is_read_anew() -> None:
    processes = Processes({1: {"FLOPLEDGER_RUN_ID": "r"}})
    environment = Environment(processes.read)
    environment.claim(process(1, started=7))
    processes.environs[1] = {"FLOPLEDGER_RUN_ID": "s"}
    assert environment.claim(process(1, started=8)) == Claim("s", explicit=True)


def test_memory_is_bounded_and_what_was_forgotten_is_read_again() -> None:
    processes = Processes({1: {"FLOPLEDGER_RUN_ID": "r"}})
    environment = Environment(processes.read)
    for pid in range(1, MAX_REMEMBERED + 2):
        environment.claim(process(pid))
    assert environment.claim(process(1)) == Claim("r", explicit=True)
    assert processes.reads.count(1) == 2
