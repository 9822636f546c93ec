from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kafka import errors

from tests.services.kafka.certificates import Authority
from wire.kafka import KafkaConnection, KafkaSettingsError
from wire.kafka_faults import Whose, fault_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret\n")
    return path


def test_plain_settings_become_what_kafka_python_takes() -> None:
    assert KafkaConnection("one:9092, two:9092", client_id="agent").client_kwargs() == {
        "bootstrap_servers": ["one:9092", "two:9092"],
        "client_id": "agent",
        "security_protocol": "PLAINTEXT",
        "bootstrap_timeout_ms": 10_000,
    }


def test_secrets_are_read_anew_every_time(password: Path) -> None:
    connection = KafkaConnection(
        "one:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        username="me",
        password_file=password,
    )
    assert connection.client_kwargs()["sasl_plain_password"] == "secret"
    password.write_text("renewed")
    assert connection.client_kwargs()["sasl_plain_password"] == "renewed"
    assert "renewed" not in repr(connection)


def test_a_bearer_token_is_read_anew_for_every_login(password: Path) -> None:
    connection = KafkaConnection(
        "one:9092", security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", token_file=password
    )
    provider = connection.client_kwargs()["sasl_oauth_token_provider"]
    password.write_text("renewed")
    assert provider.token() == "renewed"
    assert provider.extensions() == {}


def test_tls_checks_the_name_and_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ours = authority.issue("client")
    context = KafkaConnection(
        "one:9092", security_protocol="SSL", ca_file=authority.cert, cert_file=ours.cert, key_file=ours.key
    ).client_kwargs()["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bootstrap": " "}, "no broker is named"),
        ({"security_protocol": "TLS"}, "'TLS' is none of PLAINTEXT, SSL"),
        ({"ca_file": "ca.pem"}, "ca_file: of no use with security_protocol PLAINTEXT"),
        ({"security_protocol": "SSL", "cert_file": "a.pem"}, "cert_file and key_file go together"),
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism: of no use with security_protocol PLAINTEXT"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism: None is none of SCRAM-SHA-512"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "token_file: OAUTHBEARER needs one"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "username": "me"},
            "username and password_file: SCRAM-SHA-512 needs both",
        ),
    ],
)
def test_settings_that_cannot_work_together_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(KafkaSettingsError, match=sentence):
        KafkaConnection(**{"bootstrap": "one:9092", **settings})


def test_files_that_cannot_work_are_named(tmp_path: Path, password: Path) -> None:
    authority = Authority(tmp_path)
    one, two = authority.issue("one"), authority.issue("two")
    old = authority.issue("old", expired=True)
    empty = tmp_path / "empty"
    empty.touch()
    tls: dict[str, Any] = {"bootstrap": "one:9092", "security_protocol": "SSL"}
    sasl: dict[str, Any] = {"bootstrap": "one:9092", "security_protocol": "SASL_PLAINTEXT", "username": "me"}
    for settings, sentence in [
        (tls | {"ca_file": tmp_path / "none.pem"}, "ca_file: .*none.pem cannot be read: No such file"),
        (tls | {"ca_file": password}, "password holds no PEM certificates"),
        (tls | {"cert_file": one.cert, "key_file": two.key}, "two.key are no PEM pair"),
        (tls | {"cert_file": old.cert, "key_file": old.key}, "our certificate .*old.pem expired on"),
        (sasl | {"sasl_mechanism": "PLAIN", "password_file": empty}, "password_file: .*empty is empty"),
        (sasl | {"sasl_mechanism": "PLAIN", "password_file": tmp_path}, "cannot be read"),
    ]:
        with pytest.raises(KafkaSettingsError, match=sentence):
            KafkaConnection(**settings).client_kwargs()


TLS_ERROR = "Handshake failed: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "


@pytest.mark.parametrize(
    ("error", "whose", "sentence"),
    [
        (errors.KafkaConnectionError("111 ECONNREFUSED"), Whose.NOBODY, "one:9092 cannot be reached"),
        (errors.KafkaTimeoutError("Expiring 3 record(s)"), Whose.NOBODY, "does not answer now: Expiring"),
        (errors.NotEnoughReplicasError(), Whose.NOBODY, "NotEnoughReplicasError"),
        (errors.KafkaConnectionError("socket disconnected"), Whose.NOBODY, "another security_protocol than SSL"),
        (errors.SaslAuthenticationFailedError("no"), Whose.OURS, "refuses our credentials"),
        (errors.UnsupportedSaslMechanismError(), Whose.OURS, "set another sasl_mechanism"),
        (errors.IllegalSaslStateError(), Whose.OURS, "does not take SASL"),
        (errors.InvalidReceiveError("Invalid frame length"), Whose.OURS, "is that a TLS port"),
        (errors.TopicAuthorizationFailedError("t"), Whose.OURS, "we may not use topic flopledger.batches"),
        (errors.GroupAuthorizationFailedError("g"), Whose.OURS, "may not join our consumer group"),
        (errors.ClusterAuthorizationFailedError(), Whose.OURS, "IDEMPOTENT_WRITE"),
        (errors.FencedInstanceIdError(), Whose.OURS, "under our instance id"),
        (errors.UnknownTopicOrPartitionError(), Whose.BROKER, "topics --create"),
        (errors.MessageSizeTooLargeError(), Whose.BROKER, "raise max.message.bytes"),
        (errors.IncompatibleBrokerVersion("old"), Whose.BROKER, "too old"),
        (errors.KafkaConnectionError(TLS_ERROR + "certificate has expired"), Whose.BROKER, "has expired: renew it"),
        (errors.KafkaConnectionError(TLS_ERROR + "certificate is not yet valid"), Whose.BROKER, "check the clocks"),
        (errors.KafkaConnectionError(TLS_ERROR + "self-signed certificate"), Whose.OURS, "not signed by"),
        (
            errors.KafkaConnectionError(TLS_ERROR + "Hostname mismatch, certificate is not valid for 'one'."),
            Whose.OURS,
            "is for another name",
        ),
        (
            errors.KafkaConnectionError(TLS_ERROR + "IP address mismatch, certificate is not valid for '::1'."),
            Whose.OURS,
            "is for another address",
        ),
        (
            errors.KafkaConnectionError("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"),
            Whose.OURS,
            "asks for a certificate",
        ),
        (
            errors.KafkaConnectionError("[SSL: SSLV3_ALERT_CERTIFICATE_UNKNOWN] sslv3 alert certificate unknown"),
            Whose.OURS,
            "refuses us in the TLS handshake",
        ),
        (
            errors.KafkaConnectionError("Handshake failed: [SSL: WRONG_VERSION_NUMBER] wrong version number"),
            Whose.OURS,
            "does not speak TLS",
        ),
        (KafkaSettingsError("ca.pem cannot be read"), Whose.OURS, "ca.pem cannot be read"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_has_somebody_to_put_it_right_and_a_sentence(error: Exception, whose: Whose, sentence: str) -> None:
    fault = fault_of(error, KafkaConnection("one:9092", security_protocol="SSL"))
    assert fault.whose is whose
    assert sentence in fault.sentence
