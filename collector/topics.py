"""The topics in Kafka: what they must be like, whether they are, and making them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collector.errors import Fatal, Retry
from wire.kafka import BATCHES_TOPIC, MAX_MESSAGE_BYTES, KafkaSettingsError, missing_packages
from wire.kafka_client import ClientWatch
from wire.kafka_faults import Whose, fault_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wire.kafka import KafkaConnection

QUARANTINE_TOPIC = "flopledger.quarantine"
DAY_MS = 24 * 60 * 60 * 1000
MAX_REPLICATION = 3


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it should be. Without `replication` it gets as many replicas as there are brokers, three at most."""

    name: str
    partitions: int
    retention_days: int
    replication: int | None = None

    def replicas(self, brokers: int) -> int:
        """How many replicas of each partition there should be on a cluster of so many brokers."""
        return self.replication or min(brokers, MAX_REPLICATION)

    def configs(self, replicas: int) -> dict[str, str]:
        """The settings that the topic is made with."""
        return {
            "cleanup.policy": "delete",
            # The broker's time, not the sender's: retention can't drop a batch because it says that it is old.
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_days * DAY_MS),
            "retention.bytes": "-1",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "min.insync.replicas": str(_min_insync(replicas)),
            "unclean.leader.election.enable": "false",
        }


def plans(
    batches_topic: str = BATCHES_TOPIC,
    partitions: int = 12,
    retention_days: int = 7,
    replication: int | None = None,
    quarantine_retention_days: int = 90,
) -> tuple[TopicPlan, ...]:
    """The two topics of a ledger."""
    return (
        TopicPlan(batches_topic, partitions, retention_days, replication),
        TopicPlan(QUARANTINE_TOPIC, 1, quarantine_retention_days, replication),
    )


@contextmanager
def admin(connection: KafkaConnection) -> Iterator[Any]:
    """A kafka-python admin client for `check` and `create`; raises `Retry` or `Fatal` for whatever fails inside."""
    missing = missing_packages()
    if missing is not None:
        raise Fatal(missing)
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415
    from kafka.errors import KafkaError  # noqa: PLC0415

    watch = ClientWatch(connection)
    try:
        client = KafkaAdminClient(**connection.client_kwargs(), kafka_client=watch)
        try:
            yield client
        finally:
            client.close()
    except (KafkaError, KafkaSettingsError) as error:
        fault = watch.fault() or fault_of(error, connection)
        raise (Retry if fault.whose is Whose.NOBODY else Fatal)(fault.sentence) from error
    finally:
        watch.close()


def check(client: Any, wanted: Sequence[TopicPlan]) -> list[str]:
    """What is wrong with the topics, each as a sentence that says what to do; empty when they are as they should be."""
    found = _described(client, wanted)
    problems: list[str] = []
    for plan in wanted:
        topic = found.get(plan.name)
        if topic is None:
            problems.append(f"topic {plan.name} does not exist: flopledger collector topics --create")
        else:
            problems += _compare(plan, topic["partitions"], _configs(client, plan.name))
    return problems


def create(client: Any, wanted: Sequence[TopicPlan]) -> list[str]:
    """Make those that do not exist, and return their names. What exists stays as it is: `check` says what it lacks."""
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415

    brokers = len(client.describe_cluster()["brokers"])
    found = _described(client, wanted)
    made: list[str] = []
    for plan in wanted:
        if plan.name in found:
            continue
        replicas = plan.replicas(brokers)
        settings = {
            "num_partitions": plan.partitions,
            "replication_factor": replicas,
            "configs": plan.configs(replicas),
        }
        try:
            client.create_topics({plan.name: settings}, wait_for_metadata=True)
        except TopicAlreadyExistsError:
            continue
        made.append(plan.name)
    return made


def _min_insync(replicas: int) -> int:
    # One replica may be away without stopping the agents, and no batch is ever confirmed by a single disk.
    return max(1, replicas - 1)


def _described(client: Any, wanted: Sequence[TopicPlan]) -> dict[str, Any]:
    topics = client.describe_topics([plan.name for plan in wanted])
    return {topic["name"]: topic for topic in topics if topic["error_code"] == 0}


def _configs(client: Any, name: str) -> dict[str, str]:
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415

    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    (by_name,) = client.describe_configs([resource], config_filter="all").values()
    return {key: setting["value"] for key, setting in by_name[name].items()}


def _compare(plan: TopicPlan, partitions: Sequence[Any], configs: dict[str, str]) -> list[str]:
    replicas = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    want = plan.configs(plan.replication or replicas)
    problems: list[str] = []

    def unless(fits: bool, what: str) -> None:
        if not fits:
            problems.append(f"topic {plan.name}: {what}")

    unless(len(partitions) >= plan.partitions, f"{len(partitions)} partitions, fewer than {plan.partitions}")
    unless(plan.replication is None or replicas >= plan.replication, f"{replicas} replicas, not {plan.replication}")
    for key in ("cleanup.policy", "message.timestamp.type", "unclean.leader.election.enable"):
        unless(configs[key] == want[key], f"{key} is {configs[key]}, not {want[key]}")
    for key in ("max.message.bytes", "min.insync.replicas"):
        unless(int(configs[key]) >= int(want[key]), f"{key} is {configs[key]}, less than {want[key]}")
    for key in ("retention.ms", "retention.bytes"):
        unless(_keeps(int(configs[key]), int(want[key])), f"{key} is {configs[key]}, less than {want[key]}")
    return problems


def _keeps(has: int, wants: int) -> bool:
    """Whether a retention is long enough; -1 is for ever."""
    return has == -1 or (wants != -1 and has >= wants)
