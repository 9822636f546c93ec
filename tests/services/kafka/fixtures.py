"""The broker as pytest fixtures: one for the whole session, started when a test first asks for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.services.kafka.broker import KafkaBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
POM = Path(__file__).with_name("pom.xml")
GET_KAFKA = "sh scripts/services.sh kafka"
GIVEN = "FLOPLEDGER_TEST_KAFKA"


class Kafka(Protocol):
    """Any broker: `plaintext` is the host:port of a listener that asks for nothing."""

    plaintext: str


@dataclass
class GivenKafka:
    """A broker that somebody else runs."""

    plaintext: str


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Kafka:
    """A real Kafka: the one that FLOPLEDGER_TEST_KAFKA names, or our own."""
    given = os.environ.get(GIVEN)
    if given:
        return GivenKafka(given)
    broker: KafkaBroker = request.getfixturevalue("kafka_broker")
    return broker


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Our own Kafka, with all its listeners, which tests may kill if they bring it back."""
    if os.environ.get(GIVEN):
        pytest.skip(f"{GIVEN} names a broker that is not ours to stop, nor to log in to")
    with KafkaBroker(kafka_jars(), tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


def jars_directory() -> Path:
    """Where scripts/services.sh puts them."""
    version = re.search(r"<kafka\.version>(.*)</kafka\.version>", POM.read_text())
    assert version is not None
    return ROOT / ".cache" / f"kafka-{version.group(1)}"


def kafka_jars() -> Path:
    """Where Kafka's own files are, fetched if they can be; skips what needs them otherwise."""
    jars = jars_directory()
    if shutil.which("java") and not jars.is_dir() and shutil.which("mvn"):
        subprocess.run(GET_KAFKA.split(), cwd=ROOT, check=False)
    if shutil.which("java") and jars.is_dir():
        return jars
    if os.environ.get("CI"):
        pytest.fail(f"no Kafka to test with, and this is CI: {GET_KAFKA}")
    pytest.skip(f"NOT TESTED against a real Kafka: get one with `sudo {GET_KAFKA}`, or name one in {GIVEN}")
