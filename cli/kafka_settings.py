"""The Kafka connection that the settings describe; agent and collector both make it from here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cli.exits import Misconfigured
from cli.settings import PREFIX, Settings
from wire.kafka import KafkaConnection, KafkaSettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable


def kafka_connection(settings: Settings) -> KafkaConnection | None:
    """How to reach Kafka; None when no broker is set. Raises `Misconfigured` for what does not go together."""
    if settings.kafka_bootstrap is None:
        stray = sorted(name for name in settings.model_fields_set if name.startswith("kafka_"))
        if stray:
            raise Misconfigured(f"{_variables(stray)}: of no use without {PREFIX}KAFKA_BOOTSTRAP")
        return None
    # kafka-python writes several lines for every try of every broker; what they mean is said once, by who uses it.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        return KafkaConnection(
            bootstrap=settings.kafka_bootstrap,
            security_protocol=settings.kafka_security,
            ca_file=settings.kafka_ca_file,
            cert_file=settings.kafka_cert_file,
            key_file=settings.kafka_key_file,
            sasl_mechanism=settings.kafka_sasl_mechanism,
            username=settings.kafka_username,
            password_file=settings.kafka_password_file,
            token_file=settings.kafka_token_file,
            topic=settings.kafka_topic,
        )
    except KafkaSettingsError as error:
        raise Misconfigured(f"{PREFIX}KAFKA_…: {error}") from error


def required_kafka_connection(settings: Settings) -> KafkaConnection:
    """The same for a command that makes no sense without Kafka."""
    connection = kafka_connection(settings)
    if connection is None:
        raise Misconfigured(f"no broker is named: set {PREFIX}KAFKA_BOOTSTRAP to host:port")
    return connection


def _variables(names: Iterable[str]) -> str:
    return ", ".join(PREFIX + name.upper() for name in names)
