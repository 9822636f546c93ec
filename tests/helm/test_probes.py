"""Probes and scrapes ask what is really served, where it is served."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from agent import endpoint as of_agent
from agent.health import Health as AgentHealth
from cli.settings import Settings
from collector import endpoint as of_collector
from collector.health import Health as CollectorHealth
from collector.telemetry import Telemetry
from ledger.web.app import create_app
from tests.helm.charts import CASES, of_kind, pods

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PARTS = {"agent": "agent", "collector": "collector", "up": "collector"}
"""Which endpoint a container has; `up` serves the collector's."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture(scope="module")
def served() -> Iterator[dict[str, int]]:
    """The port of each real endpoint."""
    agent = of_agent.Endpoint("127.0.0.1", 0, AgentHealth())
    telemetry = Telemetry()
    ledger = cast("Any", type("Ledger", (), {"query": lambda self, statement: None})())
    collector = of_collector.Endpoint("127.0.0.1", 0, CollectorHealth(), telemetry, ledger)
    collector.start()
    yield {"agent": agent.port, "collector": collector.port}
    agent.stop()
    collector.stop()
    telemetry.close()


@pytest.mark.parametrize("case", CASES)
def test_each_probe_is_answered(case: str, served: dict[str, int]) -> None:
    for name, pod in pods(case).items():
        for container in pod["containers"]:
            if name.startswith(("Job", "CronJob")):
                assert not any(probe in container for probe in PROBES)
                continue
            if container["name"] == "web":
                continue
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            for probe in PROBES:
                asked = container[probe]["httpGet"]
                assert asked["port"] in ports
                answer = httpx.get(f"http://127.0.0.1:{served[PARTS[container['name']]]}{asked['path']}")
                assert answer.status_code in {200, 503}
                assert asked["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")


def test_the_page_answers_its_probe_without_asking_who_it_is(tmp_path: Path) -> None:
    (tmp_path / "tokens").touch()
    settings = Settings(data_dir=tmp_path, web_host="0.0.0.0", web_tokens_file=tmp_path / "tokens")
    app = create_app(cast("Any", None), settings)

    def status(path: str) -> int:
        async def ask() -> int:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://10.0.0.7") as client:
                return (await client.get(path)).status_code

        return asyncio.run(ask())

    (container,) = pods("everything")["Deployment/flopledger-compute-ledger-web"]["containers"]
    for probe in PROBES:
        asked = container[probe]["httpGet"]
        assert asked["port"] == container["ports"][0]["name"]
        assert status(asked["path"]) == 200
    assert status("/") == 401


def test_prometheus_scrapes_what_is_served(served: dict[str, int]) -> None:
    (pod_monitor,) = of_kind("everything", "PodMonitor")
    (service_monitor,) = of_kind("everything", "ServiceMonitor")
    for part, target in (
        ("agent", pod_monitor["spec"]["podMetricsEndpoints"][0]),
        ("collector", service_monitor["spec"]["endpoints"][0]),
    ):
        (container,) = (
            each for pod in pods("everything").values() for each in pod["containers"] if each["name"] == part
        )
        assert target["port"] in {port["name"] for port in container["ports"]}
        answer = httpx.get(f"http://127.0.0.1:{served[part]}{target['path']}")
        assert answer.status_code == 200


def test_the_port_of_the_probe_is_the_one_that_is_set() -> None:
    for case, part, setting in (("default", "agent", "metrics_port"), ("default", "collector", "collector_port")):
        config = next(each for each in of_kind(case, "ConfigMap") if each["metadata"]["name"] == f"flopledger-{part}")
        (container,) = (each for pod in pods(case).values() for each in pod["containers"] if each["name"] == part)
        port = next(each["containerPort"] for each in container["ports"] if each["name"] == "metrics")
        assert f"{setting} = {port}\n" in config["data"]["flopledger.toml"] + "\n"
