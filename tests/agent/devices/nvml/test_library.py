from __future__ import annotations

import ctypes
import importlib.metadata
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pynvml
import pytest

from agent.devices.nvml.errors import NO_DRIVER
from agent.devices.nvml.library import Library, redirector
from agent.errors import Fatal, Retry
from tests.agent.devices.nvml.machine import H100, START_NS, S
from tests.agent.devices.nvml.scripted.build import library as scripted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.devices.nvml.machine import Machine


def library(machine: Machine) -> Library:
    return Library(lambda: machine.now_ns)


def test_a_driver_is_found_and_says_its_version(machine: Machine) -> None:
    found = library(machine)
    assert found.absent() is None
    assert (found.driver, found.version) == ("595.45.04", "13.595.45.04")
    found.close()


def test_no_library_is_a_node_without_a_driver_and_not_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", nowhere)
    found = library(machine)
    assert found.absent() == NO_DRIVER
    assert found.absent() == NO_DRIVER
    monkeypatch.setattr(pynvml, "CDLL", lambda name: machine.library)
    assert found.absent() == NO_DRIVER  # too early to look again
    machine.advance(2 * S)
    assert found.absent() is None  # the driver's container was late
    found.close()


def test_a_driver_that_is_away_is_asked_again_ever_more_seldom(machine: Machine) -> None:
    machine.run("fail * nvmlInitWithFlags code=9")
    found = library(machine)
    asked = []
    for second in range(200):
        machine.at(second * S)
        reason = found._retry_at_ns
        with pytest.raises(Retry, match="kernel module is not loaded"):
            found.absent()
        if found._retry_at_ns != reason:
            asked.append(second)
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183]


def test_a_driver_that_comes_back_is_used(machine: Machine) -> None:
    machine.run(f"fail * nvmlInitWithFlags code=999 to={START_NS + 10 * S}")
    found = library(machine)
    with pytest.raises(Retry, match="device access may have been revoked"):
        found.absent()
    machine.at(20 * S)
    assert found.absent() is None
    found.close()


def test_a_library_that_never_matched_the_kernel_module_is_waited_for(machine: Machine) -> None:
    machine.run("fail * nvmlInitWithFlags code=18")
    with pytest.raises(Retry, match="reload the module or reboot"):
        library(machine).absent()


def test_a_driver_replaced_under_the_agent_stops_it(machine: Machine) -> None:
    """The old library stays mapped: no number of attempts in this process would help."""
    found = library(machine)
    assert found.absent() is None
    found.failed()
    machine.run("fail * nvmlInitWithFlags code=18")
    with pytest.raises(Fatal, match="restart the agent"):
        found.absent()


def test_after_a_failure_nvml_is_initialised_afresh(machine: Machine) -> None:
    found = library(machine)
    found.absent()
    found.failed()
    machine.run("driver 600.10")
    assert found.absent() is None
    assert found.driver == "600.10"
    found.close()


def test_shutting_down_a_driver_that_is_gone_is_no_error(machine: Machine) -> None:
    found = library(machine)
    found.absent()
    machine.run("fail * nvmlShutdown code=9")
    found.close()


def test_without_nvidia_ml_py_it_says_what_to_install(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install 'flopledger[agent]'" in str(library(machine).absent())


def test_the_deprecated_distribution_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redirector() is None
    monkeypatch.setattr("agent.devices.nvml.library.version", lambda name: {"pynvml": "13.0.1"}[name])
    assert "pip uninstall pynvml" in str(redirector())
    assert "13.0.1" in str(redirector())
    assert importlib.metadata.version("nvidia-ml-py")


def test_another_process_finds_the_scripted_library_as_it_would_a_driver(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"clock real\ngpu 0 uuid=GPU-0 {H100} from=1\ngpu 1 uuid=GPU-1 {H100} from=1\n")
    code = "import pynvml as n; n.nvmlInit(); print(n.nvmlDeviceGetCount(), n.nvmlSystemGetDriverVersion())"
    environment = {"LD_LIBRARY_PATH": str(scripted().parent), "FLOPLEDGER_TEST_NVML": str(script)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "2 595.45.04\n"


def test_the_scripted_library_is_laid_out_as_the_real_pynvml_expects() -> None:
    assert ctypes.sizeof(pynvml.c_nvmlGpmMetric_t) == 40
    assert pynvml.c_nvmlGpmMetricsGet_t.metrics.offset == 24
    assert ctypes.sizeof(pynvml.c_nvmlProcessInfo_v2_t) == 24
    assert ctypes.sizeof(pynvml.c_nvmlSample_t) == 16
    assert ctypes.sizeof(pynvml.c_nvmlProcessUtilizationSample_t) == 32
    assert ctypes.sizeof(pynvml.c_nvmlDeviceAttributes) == 40
