"""kafka-python's network client, watched: it logs why a connection fails, and tells its caller only of a timeout."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from wire.kafka_faults import Fault, Whose, fault_of, missing_topic

if TYPE_CHECKING:
    from wire.kafka import KafkaConnection


class ClientWatch:
    """Makes the network client of one producer, consumer or admin (its argument `kafka_client`), and watches it."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._client: Any = None
        self._fault: Fault | None = None

    def __call__(self, **configs: Any) -> Any:
        """What kafka-python calls to get its client."""
        from kafka.net.compat import KafkaNetClient  # noqa: PLC0415

        self._client = KafkaNetClient(**configs)
        manager = self._client._manager
        connect = manager.get_connection

        def watched(*args: Any, **kwargs: Any) -> Any:
            connection = connect(*args, **kwargs)
            connection.init_future.add_callback(self._succeeded)
            connection.init_future.add_errback(self._failed)
            return connection

        manager.get_connection = watched
        return self._client

    def fault(self) -> Fault | None:
        """Why no broker is connected; None when one is, or nothing is known against it."""
        if self._client is None:
            return None
        brokers = self._client.cluster.brokers()
        return None if any(self._client.connected(broker.node_id) for broker in brokers) else self._fault

    def topic_fault(self) -> Fault | None:
        """Says so when the cluster was asked for our topic and does not know it."""
        if self._client is None:
            return None
        cluster = self._client.cluster
        known = not cluster.brokers() or self._connection.topic in cluster.topics(exclude_internal_topics=False)
        return None if known else missing_topic(self._connection)

    def close(self) -> None:
        """Let go of threads and sockets, also of those that a failed constructor of kafka-python left behind."""
        if self._client is not None:
            self._client.close()
            self._client = None
        # Sockets that never connected are left in reference cycles: days of trying would use up the descriptors.
        gc.collect()

    def _succeeded(self, _: object) -> None:
        self._fault = None

    def _failed(self, error: Exception) -> None:
        fault = fault_of(error, self._connection)
        # A refusal is often followed by a plain disconnect, which must not hide it.
        if self._fault is None or self._fault.whose is Whose.NOBODY or fault.whose is not Whose.NOBODY:
            self._fault = fault
