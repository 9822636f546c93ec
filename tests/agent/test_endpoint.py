"""What an orchestrator asks an agent, and what a node without a driver answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from agent.devices.nvml.errors import NO_DRIVER
from agent.endpoint import Endpoint
from agent.errors import Fatal
from agent.health import STUCK_AFTER_S, Health
from tests.services.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


@pytest.fixture
def endpoint(health: Health) -> Iterator[Endpoint]:
    served = Endpoint("127.0.0.1", 0, health)
    yield served
    served.stop()


def ask(endpoint: Endpoint, path: str) -> tuple[int, str]:
    answer = httpx.get(f"http://127.0.0.1:{endpoint.port}{path}")
    return answer.status_code, answer.text.strip()


def test_it_lives_from_its_start_and_is_ready_from_its_first_sample(endpoint: Endpoint, health: Health) -> None:
    assert ask(endpoint, "/healthz") == (200, "ok")
    assert ask(endpoint, "/readyz") == (503, "nothing was sampled yet")
    health.sampled(None)
    assert ask(endpoint, "/readyz") == (200, "ok")
    health.sampled("no device")
    assert ask(endpoint, "/readyz") == (503, "no device")


def test_sampling_that_is_stuck_is_not_alive(endpoint: Endpoint, health: Health, clock: Clock) -> None:
    health.sampled(None)
    clock.now_s = STUCK_AFTER_S
    assert ask(endpoint, "/healthz") == (503, "nothing was sampled for 120 s")
    health.sampled(None)
    assert ask(endpoint, "/healthz") == (200, "ok")


def test_metrics_are_served_and_nothing_else(endpoint: Endpoint) -> None:
    status, text = ask(endpoint, "/metrics")
    assert status == 200
    assert "python_info" in text
    assert ask(endpoint, "/")[0] == 404


def test_a_port_that_is_taken_is_named_with_its_settings(endpoint: Endpoint, health: Health) -> None:
    with pytest.raises(Fatal, match=f"FLOPLEDGER_METRICS_HOST, FLOPLEDGER_METRICS_PORT: 127.0.0.1:{endpoint.port}"):
        Endpoint("127.0.0.1", endpoint.port, health)


def test_an_agent_without_a_driver_lives_and_says_why_it_is_not_ready(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environ = {
        **os.environ,
        "FLOPLEDGER_DATA_DIR": str(tmp_path),
        "FLOPLEDGER_NODE_LOCK": str(tmp_path / "lock"),
        "FLOPLEDGER_BACKENDS": '["nvml"]',
        "FLOPLEDGER_OTLP_PORT": "0",
        "FLOPLEDGER_METRICS_PORT": str(port),
    }
    agent = subprocess.Popen([sys.executable, "-m", "flopledger", "agent", "run"], env=environ, stderr=subprocess.PIPE)
    try:
        text = _first_verdict(port)
        assert text == f"no device can be measured: {NO_DRIVER}. `flopledger agent devices` says more"
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    finally:
        agent.send_signal(signal.SIGTERM)
        _, said = agent.communicate(timeout=30)
    assert agent.returncode == 0
    assert NO_DRIVER in said.decode()


def _first_verdict(port: int) -> str:
    """What /readyz says after the first sample."""
    for _ in range(300):
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.text.strip() != "nothing was sampled yet":
            return answer.text.strip()
    raise AssertionError("no answer in half a minute")
