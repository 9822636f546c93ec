from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from collector.commands import app
from collector.kafka_quarantine import KafkaQuarantine
from collector.service import quarantine_in
from collector.sources.interface import Message
from collector.topics import QUARANTINE_TOPIC
from wire.kafka import KafkaConnection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.kafka.fixtures import Kafka


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def topic(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a topic that nobody has made yet."""
    name = f"commands-{time.time_ns()}"
    monkeypatch.setenv("FLOPLEDGER_KAFKA_BOOTSTRAP", kafka.plaintext)
    monkeypatch.setenv("FLOPLEDGER_KAFKA_TOPIC", name)
    return name


def ask(*arguments: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, json.loads(result.stdout)


def test_topics_says_what_is_missing_makes_it_and_is_content(topic: str) -> None:
    code, answer = ask("topics")
    assert code == 1
    assert answer["topics"][0] == {
        "topic": topic,
        "state": "wrong",
        "problems": [f"topic {topic} does not exist: flopledger collector topics --create"],
    }
    code, answer = ask("topics", "--create", "--partitions", "2")
    assert code == 0
    assert answer["topics"][0] == {"topic": topic, "state": "made", "problems": []}
    assert answer["topics"][1]["topic"] == QUARANTINE_TOPIC
    assert ask("topics")[0] == 0
    code, answer = ask("topics", "--partitions", "3")
    assert code == 1
    assert answer["topics"][0]["problems"] == [f"topic {topic}: 2 partitions, fewer than 3"]


def test_topics_are_made_with_twelve_partitions_unless_somebody_says_otherwise(topic: str) -> None:
    assert ask("topics", "--create")[0] == 0
    assert ask("topics", "--partitions", "12")[0] == 0
    assert ask("topics", "--partitions", "13")[0] == 1


def test_topics_without_a_broker_says_which_setting_is_missing() -> None:
    with pytest.raises(Misconfigured, match="FLOPLEDGER_KAFKA_BOOTSTRAP"):
        ask("topics")


def test_a_setting_of_kafka_without_a_broker_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_KAFKA_USERNAME", "somebody")
    code, answer = ask("run", "--check")
    assert code == 2
    assert answer["checks"] == [
        {
            "what": "settings",
            "ok": False,
            "detail": "FLOPLEDGER_KAFKA_USERNAME: of no use without FLOPLEDGER_KAFKA_BOOTSTRAP",
        }
    ]


def test_check_finds_all_that_a_collector_needs(topic: str, data_dir: Path) -> None:
    code, answer = ask("run", "--check")
    assert code == 1
    assert {row["what"]: row["ok"] for row in answer["checks"]}[f"topic {topic}"] is False
    ask("topics", "--create", "--partitions", "1")
    code, answer = ask("run", "--check")
    assert code == 0
    assert [row["what"] for row in answer["checks"]] == [
        "settings",
        "broker",
        f"topic {topic}",
        f"topic {QUARANTINE_TOPIC}",
        "ledger",
    ]
    assert not (data_dir / "ledger").exists(), "a check makes nothing"


def test_check_says_that_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    code, answer = ask("run", "--check")
    assert code == 3
    assert [(row["what"], row["ok"]) for row in answer["checks"]] == [
        ("settings", True),
        ("broker", False),
        ("ledger", True),
    ]


def test_check_without_kafka_looks_for_the_outbox(data_dir: Path) -> None:
    code, answer = ask("run", "--check")
    assert code == 2
    assert answer["checks"][1]["what"] == "outbox"
    assert "flopledger agent run" in answer["checks"][1]["detail"]


@pytest.mark.parametrize("with_kafka", [False, True], ids=["directory", "topic"])
def test_quarantine_lists_reason_origin_and_size(
    with_kafka: bool, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    origin = f"origin-{time.time_ns()}"
    messages = [Message(b"four", (("schema", b"\xff"),), origin, 1, 1), Message(b"three", (), origin, 1, 2)]
    if with_kafka:
        request.getfixturevalue("topic")
        ask("topics", "--create", "--partitions", "1")
        with closing(KafkaQuarantine(KafkaConnection(request.getfixturevalue("kafka").plaintext))) as kept:
            for message in messages:
                kept.put(message, "signature: does not fit the bytes")
    else:
        for message in messages:
            quarantine_in(data_dir).put(message, "signature: does not fit the bytes")
    code, answer = ask("quarantine", "list")
    assert code == 0
    told = {"reason": "signature: does not fit the bytes", "replayed": False}
    assert [row for row in answer["quarantine"] if row["topic"] == origin] == [
        {**told, "topic": origin, "partition": 1, "offset": 1, "bytes": 4},
        {**told, "topic": origin, "partition": 1, "offset": 2, "bytes": 5},
    ]


def test_an_empty_quarantine_is_an_empty_list() -> None:
    assert ask("quarantine", "list") == (0, {"quarantine": []})
