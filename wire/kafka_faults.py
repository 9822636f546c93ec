"""What Kafka's errors mean: whose fault, in a sentence that says what to do.

kafka-python reports most of them as a timeout and writes the reason to its log alone: `kafka_client` keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wire.kafka import KafkaSettingsError

if TYPE_CHECKING:
    from wire.kafka import KafkaConnection


class Whose(StrEnum):
    """Who has to do something about it."""

    NOBODY = "nobody"
    """It passes by itself: a broker restarts, a network is cut."""
    BROKER = "broker"
    """It lasts until somebody puts the cluster right; our own settings are fine."""
    OURS = "ours"
    """It lasts until somebody puts our settings, files or rights right."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong, as a sentence, and whose turn it is."""

    whose: Whose
    sentence: str


_BY_ERROR: dict[str, tuple[Whose, str]] = {
    "SaslAuthenticationFailedError": (
        Whose.OURS,
        "{bootstrap} refuses our credentials ({mechanism}, {credentials}): {detail}",
    ),
    "UnsupportedSaslMechanismError": (
        Whose.OURS,
        "{bootstrap} does not offer {mechanism}: set another sasl_mechanism, or enable it on that listener",
    ),
    "IllegalSaslStateError": (
        Whose.OURS,
        "{bootstrap} does not take SASL: wrong port, or wrong security_protocol ({protocol})",
    ),
    "InvalidReceiveError": (
        Whose.OURS,
        "{bootstrap} answers with something that is not Kafka's protocol: is that a TLS port? "
        "security_protocol is {protocol}",
    ),
    "UnknownTopicOrPartitionError": (
        Whose.BROKER,
        "topic {topic} does not exist on {bootstrap}, or we may not see it: flopledger collector topics --create",
    ),
    "InvalidTopicError": (Whose.OURS, "{topic!r} is not a valid name of a topic"),
    "TopicAuthorizationFailedError": (
        Whose.OURS,
        "we may not use topic {topic} on {bootstrap}: grant WRITE to agents, READ to collectors",
    ),
    "GroupAuthorizationFailedError": (Whose.OURS, "we may not join our consumer group on {bootstrap}: grant READ"),
    "ClusterAuthorizationFailedError": (
        Whose.OURS,
        "{bootstrap} does not let us do that: grant IDEMPOTENT_WRITE to agents, CREATE and DESCRIBE to whoever "
        "makes topics",
    ),
    "MessageSizeTooLargeError": (
        Whose.BROKER,
        "{bootstrap} finds a batch too large: raise max.message.bytes of topic {topic} "
        "(flopledger collector topics says to what)",
    ),
    "InvalidTimestampError": (
        Whose.BROKER,
        "{bootstrap} refuses the time of a batch: topic {topic} must have message.timestamp.type=LogAppendTime",
    ),
    "UnsupportedVersionError": (Whose.BROKER, "{bootstrap} is too old: Kafka 2.5 or newer is needed ({detail})"),
    "UnsupportedCodecError": (Whose.OURS, "a compression is not installed ({detail}): pip install zstandard"),
    "KafkaConfigurationError": (Whose.OURS, "{detail}"),
    "FencedInstanceIdError": (
        Whose.OURS,
        "another collector is in the group under our instance id: give each its own",
    ),
}
"""By the name of the error's class or of one it descends from; what is not here passes by itself."""

_BY_TEXT: tuple[tuple[str, Whose, str], ...] = (
    ("certificate has expired", Whose.BROKER, "the certificate of {bootstrap} has expired: renew it there"),
    ("certificate is not yet valid", Whose.BROKER, "the certificate of {bootstrap} is not valid yet: check the clocks"),
    (
        "ostname mismatch",
        Whose.OURS,
        "the certificate of {bootstrap} is for another name: use a name that it holds ({detail})",
    ),
    (
        "IP address mismatch",
        Whose.OURS,
        "the certificate of {bootstrap} is for another address: use a name that it holds ({detail})",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        Whose.OURS,
        "the certificate of {bootstrap} is not signed by an authority in {authorities} ({detail})",
    ),
    ("_ALERT_CERTIFICATE_REQUIRED", Whose.OURS, "{bootstrap} asks for a certificate: set cert_file and key_file"),
    ("_ALERT_", Whose.OURS, "{bootstrap} refuses us in the TLS handshake: {certificate} ({detail})"),
    (
        "WRONG_VERSION_NUMBER",
        Whose.OURS,
        "{bootstrap} does not speak TLS: wrong port, or wrong security_protocol ({protocol})",
    ),
    (
        "UNEXPECTED_EOF",
        Whose.NOBODY,
        "{bootstrap} hangs up in the TLS handshake: it restarts, or does not speak TLS there ({protocol})",
    ),
    (
        "socket disconnected",
        Whose.NOBODY,
        "{bootstrap} hangs up: it restarts, or expects another security_protocol than {protocol}",
    ),
)
"""By what OpenSSL or kafka-python says; the first that is found counts."""


def fault_of(error: BaseException, connection: KafkaConnection) -> Fault:
    """What `error`, met on `connection`, means."""
    if isinstance(error, KafkaSettingsError):
        return Fault(Whose.OURS, str(error))
    text = str(error.args[0]) if error.args else type(error).__name__
    words = _words(connection, text)
    for pattern, whose, sentence in _BY_TEXT:
        if pattern in text:
            return Fault(whose, sentence.format(**words))
    for kind in type(error).__mro__:
        if kind.__name__ in _BY_ERROR:
            whose, sentence = _BY_ERROR[kind.__name__]
            return Fault(whose, sentence.format(**words))
    return Fault(Whose.NOBODY, f"{connection.bootstrap} cannot be reached or does not answer now: {text}")


def missing_topic(connection: KafkaConnection) -> Fault:
    """The fault of a topic that is not there: kafka-python has no error for it, it waits."""
    whose, sentence = _BY_ERROR["UnknownTopicOrPartitionError"]
    return Fault(whose, sentence.format(**_words(connection, "")))


def _words(connection: KafkaConnection, detail: str) -> dict[str, Any]:
    return {
        "bootstrap": connection.bootstrap,
        "topic": connection.topic,
        "protocol": connection.security_protocol,
        "mechanism": connection.sasl_mechanism,
        "credentials": f"user {connection.username!r}" if connection.username else f"token {connection.token_file}",
        "authorities": connection.ca_file or "the system's store",
        "certificate": f"check {connection.cert_file}" if connection.cert_file else "set cert_file and key_file",
        "detail": detail,
    }
