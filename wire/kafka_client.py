"""kafka-python's network client, watched: it logs why a connection fails, and tells its caller only of a timeout."""

from __future__ import annotations

import socket
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wire.kafka_faults import Fault, Whose, fault_of, missing_topic

if TYPE_CHECKING:
    from wire.kafka import KafkaConnection


REFUSALS_PER_SERVER = 2
"""Servers are asked in random order: with so many refusals hardly one was left out."""


class ClientWatch:
    """Makes the network client of one producer, consumer or admin (its argument `kafka_client`), and watches it."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._client: Any = None
        self._fault: Fault | None = None
        self._refusals = 0

    def __call__(self, **configs: Any) -> Any:
        """What kafka-python calls to get its client."""
        from kafka.net.compat import KafkaNetClient  # noqa: PLC0415

        self._fault, self._refusals = None, 0
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
        client, self._client = self._client, None
        if client is not None:
            # That it is closed already: a producer's own thread may do so in this moment.
            with suppress(RuntimeError):
                client.close()

    def _succeeded(self, _: object) -> None:
        self._fault = None

    def _failed(self, error: Exception) -> None:
        fault = fault_of(error, self._connection)
        # A refusal is often followed by a plain disconnect, which must not hide it.
        if self._fault is None or self._fault.whose is Whose.NOBODY or fault.whose is not Whose.NOBODY:
            self._fault = fault
        if fault.whose is not Whose.NOBODY:
            self._refusals += 1
            self._stop_asking()
        _close_sockets(error)

    def _stop_asking(self) -> None:
        """End a first connection that every server refuses: kafka-python would go on until its time is up."""
        manager = self._client._manager
        if not manager.bootstrapped and self._refusals >= REFUSALS_PER_SERVER * len(self._connection.servers):
            manager.close()


def _close_sockets(error: BaseException | None) -> None:
    """Close what failed to connect: kafka-python leaves it, open, to the frames that its error holds.

    Days of trying would otherwise use up the descriptors, until a garbage collection comes by.
    """
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            for held in frame.f_locals.values():
                opened = getattr(held, "_sock", held)
                if isinstance(opened, socket.socket):
                    opened.close()
        error.__traceback__ = None
        error = error.__context__


def unpack_at_once() -> None:
    """Have kafka-python unpack a record batch in one go. By itself it sets up a stream for each, and with one batch of
    ours in each that is a third of what reading costs.
    """
    from kafka.record import default_records  # noqa: PLC0415

    default_records.zstd_decode = _unpacked


_local = threading.local()


def _unpacked(packed: bytes) -> bytes:
    import zstandard  # noqa: PLC0415
    from kafka.codec import zstd_decode  # noqa: PLC0415

    try:
        context = _local.zstd
    except AttributeError:
        context = _local.zstd = zstandard.ZstdDecompressor()
    frame = context.decompressobj()
    found: bytes = frame.decompress(packed)
    # Several frames, or half a one, are as before.
    return found if frame.eof and not frame.unused_data else zstd_decode(packed)
