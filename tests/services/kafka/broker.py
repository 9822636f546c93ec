"""A real Apache Kafka on loopback: one node in KRaft mode that tests may stop, kill and bring back.

Addresses, data and certificates stay the same over the life of a `KafkaBroker`, whatever happens to its process.
"""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import time
from typing import TYPE_CHECKING, Self

from tests.services.kafka.certificates import Authority
from tests.services.ports import HOST, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

USER = "flopledger"
PASSWORD = "correct-horse-battery-staple"
CLUSTER_ID = "ZmxvcGxlZGdlci10ZXN0cw"
START_SECONDS = 90
STOP_SECONDS = 30
ANSWER_SECONDS = 2
STARTED = "Kafka Server started"
API_VERSIONS_REQUEST = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Length, API key, version, correlation id, no client id."""

JAVA = (
    "java",
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
LISTENERS = {
    "PLAINTEXT": "PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "SASL": "SASL_SSL",
    "CONTROLLER": "PLAINTEXT",
}


class KafkaBroker:
    """One broker in `directory`, made of the jars in `jars`.

    Attributes by listener: `plaintext`, `tls` (one-sided), `mutual` (asks for a certificate), `sasl` (TLS with
    SCRAM-SHA-512 for `USER` and `PASSWORD`, or OAUTHBEARER with unsigned tokens), `expired` (TLS with a certificate
    that ran out). Each is a host:port. `ca`, `client` and `expired_client` are the certificates to go there with.

    `behind` names further listeners, plain ones, each with the host:port that clients are told: that of a proxy.
    """

    def __init__(self, jars: Path, directory: Path, behind: Mapping[str, str] | None = None) -> None:
        self._jars = jars
        self.directory = directory
        self.log = directory / "server.log"
        self._data = directory / "data"
        self._properties = directory / "server.properties"
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._told = dict(behind or {})
        self._protocols = LISTENERS | dict.fromkeys(self._told, "PLAINTEXT")
        self._ports = dict(zip(self._protocols, free_ports(len(self._protocols)), strict=True))
        self.plaintext = self._address("PLAINTEXT")
        self.tls = self._address("TLS")
        self.mutual = self._address("MUTUAL")
        self.expired = self._address("EXPIRED")
        self.sasl = self._address("SASL")
        authority = Authority(directory)
        self.ca = authority.cert
        self.client = authority.issue("client")
        self.expired_client = authority.issue("expired-client", expired=True)
        self._keystore = authority.issue("broker").keystore
        self._expired_keystore = authority.issue("expired-broker", expired=True).keystore
        self._format()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def listens(self, name: str) -> str:
        """Where the listener of this name really is."""
        return self._address(name)

    @property
    def running(self) -> bool:
        """Whether there is a process; it may be too young to answer."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and wait until it answers; does nothing when it runs."""
        if not self.running:
            with self.log.open("ab") as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    [*self._java("kafka.Kafka"), str(self._properties)], stdout=log, stderr=log, cwd=self.directory
                )
        self.wait_until_ready()

    def stop(self) -> None:
        """Stop in an orderly way, as an operator does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """kill -9: no goodbye, no flush."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """The process stands still, its connections stay open: what a long pause or a dead switch looks like."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `suspend`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def wait_until_ready(self) -> None:
        """Poll until the broker answers; raises RuntimeError with the end of its log when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.running:
            if STARTED in self._log_since_start() and self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"Kafka did not come up; the end of {self.log}:\n{self._log_since_start()[-4000:]}")

    def _log_since_start(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _answers(self) -> bool:
        """Ask which versions it speaks, by hand: clients that fail to connect leave their sockets lying about."""
        try:
            with socket.create_connection((HOST, self._ports["PLAINTEXT"]), ANSWER_SECONDS) as connection:
                connection.sendall(API_VERSIONS_REQUEST)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def _address(self, listener: str) -> str:
        return f"{HOST}:{self._ports[listener]}"

    def _java(self, main: str) -> list[str]:
        return [*JAVA, "-cp", f"{self._jars}/*", main]

    def _format(self) -> None:
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))
        command = [
            *self._java("kafka.tools.StorageTool"),
            "format",
            f"--cluster-id={CLUSTER_ID}",
            f"--config={self._properties}",
            f"--add-scram=SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
        ]
        with self.log.open("wb") as log:
            failed = subprocess.run(command, stdout=log, stderr=log, cwd=self.directory, check=False).returncode
        if failed:
            raise RuntimeError(f"Kafka's storage cannot be formatted:\n{self._log_since_start()[-4000:]}")

    def _settings(self) -> dict[str, str | int]:
        everywhere = [f"{name}://{self._address(name)}" for name in self._protocols]
        told = [
            f"{name}://{self._told.get(name, self._address(name))}" for name in self._protocols if name != "CONTROLLER"
        ]
        pem: dict[str, str | int] = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
        }
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{self._address('CONTROLLER')}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(everywhere),
            "advertised.listeners": ",".join(told),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in self._protocols.items()),
            "log.dirs": str(self._data),
            **pem,
            "listener.name.mutual.ssl.client.auth": "required",
            **{f"listener.name.expired.{key}": value for key, value in pem.items()},
            "listener.name.expired.ssl.keystore.location": str(self._expired_keystore),
            "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "listener.name.sasl.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="broker";'
            ),
            "auto.create.topics.enable": "false",
            "message.max.bytes": 16 * 1024 * 1024,
            # One node, and tests that can't wait.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            "num.network.threads": 2,
            "num.io.threads": 2,
        }
