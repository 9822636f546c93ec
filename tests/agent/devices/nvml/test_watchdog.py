from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from agent.devices.nvml.watchdog import Watchdog
from agent.errors import SkipDevice

if TYPE_CHECKING:
    from collections.abc import Callable

SOON_S = 0.05


def test_results_and_errors_come_back_by_name() -> None:
    watchdog = Watchdog()

    def fails() -> int:
        raise KeyError("no")

    outcomes = watchdog.run_all({"a": lambda: 1, "b": fails, "c": lambda: 3})
    assert outcomes["a"] == 1
    assert isinstance(outcomes["b"], KeyError)
    assert outcomes["c"] == 3
    with pytest.raises(KeyError):
        watchdog.run("b", fails)
    watchdog.close()


def test_a_job_that_hangs_is_left_out_and_the_others_are_done() -> None:
    release = threading.Event()
    done: list[str] = []
    jobs: dict[str, Callable[[], object]] = {
        "a": lambda: done.append("a"),
        "stuck": release.wait,
        "b": lambda: done.append("b"),
    }
    watchdog = Watchdog(SOON_S)
    outcomes = watchdog.run_all(jobs)
    assert isinstance(outcomes.pop("stuck"), SkipDevice)
    assert outcomes == {"a": None, "b": None}
    release.set()
    watchdog.close()
    for thread in threading.enumerate():
        if thread.name == "nvml":
            thread.join(2)
    assert done == ["a", "b"]  # the thread that came back late does nothing a second time


def test_what_hangs_is_not_called_again_until_it_has_come_back() -> None:
    release, called = threading.Event(), []

    def job() -> None:
        called.append(1)
        release.wait()

    watchdog = Watchdog(SOON_S)
    watchdog.run_all({"stuck": job})
    with pytest.raises(SkipDevice, match="has not returned"):
        watchdog.run("stuck", job)
    assert called == [1]
    release.set()
    for thread in threading.enumerate():
        if thread.name == "nvml":
            thread.join(2)
    assert not watchdog.hangs("stuck")
    watchdog.run("stuck", job)
    assert called == [1, 1]
    watchdog.close()


def test_every_job_has_its_own_time_limit() -> None:
    """Ten jobs of half the limit each are ten jobs in time, not one that is late."""
    watchdog = Watchdog(0.2)
    pause = threading.Event()
    outcomes = watchdog.run_all({str(number): lambda: pause.wait(0.1) for number in range(5)})
    assert set(outcomes.values()) == {False}
    watchdog.close()
