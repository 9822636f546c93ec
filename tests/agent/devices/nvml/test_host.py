from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from agent.devices.interface import ProcessKey
from agent.devices.nvml.host import Host, boot_ns
from tests.agent.devices.nvml.machine import S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.agent.devices.nvml.machine import Machine


def test_this_process_is_what_the_kernel_says_it_is() -> None:
    host = Host()
    key = host.process(os.getpid())
    assert key is not None
    assert key.pid == os.getpid()
    assert 0 < key.started <= boot_ns() * os.sysconf("SC_CLK_TCK") // 10**9
    assert host.process(os.getpid()) is key
    assert len(host.boot_id) == 36
    assert host.pid_max >= 32_768


def test_time_is_unix_time_and_time_since_boot() -> None:
    before = (time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    now = Host().now()
    assert before[0] <= now.unix_ns <= time.time_ns()
    assert before[1] <= now.boot_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields(machine: Machine) -> None:
    machine.entry(5, started=123_456)
    assert Host(str(machine.proc), str(machine.sys)).process(5) == ProcessKey(5, 123_456, "0f5c6a6e-boot")


def test_a_process_that_ended_is_gone(machine: Machine) -> None:
    host = Host(str(machine.proc), str(machine.sys), since_boot_ns=lambda: machine.now_ns)
    machine.entry(5)
    assert host.process(5) is not None
    shutil.rmtree(machine.proc / "5")
    machine.advance(5 * S)
    assert host.process(5) is None
    machine.entry(5)
    assert host.process(5) is not None
    shutil.rmtree(machine.proc / "5")
    host.forget(5)
    assert host.process(5) is None


def test_loading_the_driver_anew_shows(tmp_path: Path, machine: Machine) -> None:
    host = Host(str(machine.proc), str(machine.sys))
    before = host.driver_load()
    (machine.sys / "module/nvidia").rename(machine.sys / "module/gone")
    assert host.driver_load() == "-"
    (machine.sys / "module/nvidia").mkdir()
    assert host.driver_load() not in {before, "-"}


def test_a_kernel_that_hides_its_limit_has_linuxs_own(machine: Machine) -> None:
    (machine.proc / "sys/kernel/pid_max").unlink()
    assert Host(str(machine.proc), str(machine.sys)).pid_max == 2**22
