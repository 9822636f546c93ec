"""What the chart configures is what the product reads: settings, files, commands."""

from __future__ import annotations

import base64
import os
import pathlib
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import typer

from cli.kafka_settings import kafka_connection
from cli.settings import Settings, load
from collector.enrolment import read_keys
from collector.notify.channel_file import channels
from collector.topics import plans
from flopledger import _root
from ledger.place import Server, place
from scripts.chart.render import layered
from scripts.chart.values import CHART
from tests.helm.charts import CASES, Manifest, chart, containers, of_kind, parsed, pods
from wire.kafka import BATCHES_TOPIC

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = "/etc/flopledger/secrets/"
ON_THE_NODE = {"spec.nodeName": "gpu-0", "status.podIP": "10.0.0.7", "metadata.name": "flopledger-collector-0"}


def configured(case: str) -> list[tuple[str, Manifest, Manifest]]:
    """Each container with the ConfigMap that it reads, and its pod."""
    configs = {config["metadata"]["name"]: config for config in of_kind(case, "ConfigMap")}
    found = []
    for name, pod in pods(case).items():
        config = next(volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "config")
        found += [
            (f"{name}/{container['name']}", configs[config], pod | {"it": container}) for container in containers(pod)
        ]
    return found


def settings_of(config: Manifest, container: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As the product itself reads them inside that container."""
    for variable in [name for name in os.environ if name.startswith("FLOPLEDGER_")]:
        monkeypatch.delenv(variable)
    file = tmp_path / "flopledger.toml"
    file.write_text(config["data"]["flopledger.toml"], encoding="utf-8")
    for variable in container["env"]:
        value = variable.get("value") or ON_THE_NODE[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        monkeypatch.setenv(variable["name"], value)
    assert os.environ["FLOPLEDGER_CONFIG"] == "/etc/flopledger/config/flopledger.toml"
    monkeypatch.setenv("FLOPLEDGER_CONFIG", str(file))
    return load()


@pytest.mark.parametrize("case", CASES)
def test_the_products_own_classes_read_every_config(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, config, pod in configured(case):
        settings = settings_of(config, pod["it"], tmp_path, monkeypatch)
        connection, where = kafka_connection(settings), place(settings)
        assert (connection is not None) == any(part in name for part in ("agent", "collector", "migrate"))
        assert isinstance(where, Server) != any(part in name for part in ("agent", "demo"))


@pytest.mark.parametrize("case", CASES)
def test_every_file_of_a_setting_is_mounted_and_every_mounted_secret_is_used(case: str) -> None:
    for name, config, pod in configured(case):
        named = set(re.findall(f'"{SECRETS}([^"]+)"', "".join(config["data"].values())))
        sources = next(each for each in pod["volumes"] if each["name"] == "secrets").get("projected", {"sources": []})
        mounted = {item["path"] for source in sources["sources"] for item in source["secret"]["items"]}
        assert named == mounted, name
        kept = [path for path in re.findall(r'"(/var/lib/flopledger)', config["data"]["flopledger.toml"]) if path]
        volumes = {mount["mountPath"] for mount in pod["it"]["volumeMounts"]}
        assert set(kept) - volumes <= ({"/var/lib/flopledger"} if "migrate" in name else set()), name


@pytest.mark.parametrize("case", CASES)
def test_every_command_is_one_of_ours_with_its_options(case: str) -> None:
    for _, pod in pods(case).items():
        for container in containers(pod):
            arguments = [str(argument) for argument in container["args"]]
            command: Any = typer.main.get_command(_root(arguments))
            while arguments and hasattr(command, "commands"):
                command = command.commands[arguments.pop(0)]
            command.make_context(command.name, arguments)


def test_the_file_of_approved_keys_is_read_as_the_collector_reads_it(tmp_path: Path) -> None:
    (config,) = (each for each in of_kind("everything", "ConfigMap") if "agent-keys" in each["data"])
    file = tmp_path / "keys"
    file.write_text(config["data"]["agent-keys"], encoding="utf-8")
    assert read_keys(file)


def test_the_file_of_channels_is_read_as_the_collector_reads_it(tmp_path: Path) -> None:
    (config,) = (each for each in of_kind("everything", "ConfigMap") if "channels.yaml" in each["data"])
    text, secrets = config["data"]["channels.yaml"], pathlib.Path("/etc/flopledger/alerts")
    collector = pods("everything")["StatefulSet/flopledger-compute-ledger-collector"]
    mounted = {pathlib.Path(mount["mountPath"]) for mount in collector["containers"][0]["volumeMounts"]}
    for named in re.findall(f"({secrets}/\\S+)", text):
        assert pathlib.Path(named).parent in mounted
        here = tmp_path / pathlib.Path(named).relative_to(secrets)
        here.parent.mkdir(exist_ok=True)
        here.touch(mode=0o600)
        here.write_text("whsec_" + base64.b64encode(bytes(32)).decode(), encoding="utf-8")
    file = tmp_path / "channels.yaml"
    file.write_text(text.replace(str(secrets), str(tmp_path)), encoding="utf-8")
    assert [channel.name for channel in channels(file, "test", time.time_ns)] == ["compliance", "oncall"]


def test_the_agents_sources_follow_the_products_order_of_trust() -> None:
    order = list(Settings.model_fields["attribution"].default)
    everything = next(config for name, config, _ in configured("everything") if name.endswith("/agent"))
    (line,) = (line for line in everything["data"]["flopledger.toml"].splitlines() if line.startswith("attribution"))
    named = re.findall('"([a-z-]+)"', line)
    assert [source for source in named if source != "pod-labels"] == [source for source in order if source in named]
    assert named.index("cgroup") < named.index("pod-labels") < named.index("environment")


def test_strimzis_topics_are_as_the_collector_wants_them() -> None:
    objects = parsed({"objects": (CHART / "profiles" / "strimzi-objects.yaml").read_text(encoding="utf-8")})
    topics = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "KafkaTopic"}
    assert set(topics) == {plan.name for plan in plans()}
    for plan in plans():
        topic = topics[plan.name]
        assert topic["partitions"] == plan.partitions
        assert topic["config"] == plan.configs(topic["replicas"])
    assert chart().values["kafka"]["topic"] == BATCHES_TOPIC
    users = {each["metadata"]["name"] for each in objects if each["kind"] == "KafkaUser"}
    named = layered(["profiles/strimzi.yaml"])["kafka"]
    assert users == {named[who]["tlsSecret"]["name"] for who in ("agent", "collector")}
