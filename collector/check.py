"""Whether a collector with these settings could work: `flopledger collector run --check`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.exits import DONE, NO, Misconfigured, Unreachable
from cli.kafka_settings import kafka_connection
from collector import topics
from collector.errors import CollectorError
from collector.sources.outbox_file import OutboxFile
from ledger.access import connect
from ledger.errors import LedgerError
from ledger.place import Server, place
from wire.errors import KeyFileError
from wire.kafka import KafkaConnection, KafkaSettingsError
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cli.settings import Settings
    from ledger.place import Place

BROKERS_NAMED_BY = "brokers are named by FLOPLEDGER_KAFKA_BOOTSTRAP, the chart's kafka.bootstrap"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is needed, whether it is there, and what is wrong otherwise; `exit_code` is 0 when it is."""

    what: str
    detail: str
    exit_code: int = DONE

    @property
    def ok(self) -> bool:
        """Nothing is wrong with it."""
        return self.exit_code == DONE


def findings(settings: Settings, outbox: Path) -> Iterator[Finding]:
    """Settings, where batches come from, and the ledger. Makes nothing, but brings a ledger to this version."""
    try:
        connection = kafka_connection(settings)
        if connection is not None:
            connection.client_kwargs()
    except (Misconfigured, KafkaSettingsError) as error:
        yield Finding("settings", str(error), error.exit_code)
        return
    yield Finding("settings", "fit together")
    if connection is None:
        yield _tried("outbox", lambda: _outbox(outbox))
    else:
        yield from _kafka(connection)
    yield _tried("ledger", lambda: _ledger(place(settings)))


def _kafka(connection: KafkaConnection) -> Iterator[Finding]:
    try:
        with topics.admin(connection) as client:
            # How many partitions there should be is for whoever made the topic to say.
            plans = topics.plans(connection.topic, partitions=1)
            found = [(f"topic {plan.name}", topics.check(client, [plan])) for plan in plans]
    except CollectorError as error:
        yield Finding("broker", f"{error}; {BROKERS_NAMED_BY}", error.exit_code)
        return
    yield Finding("broker", f"{connection.bootstrap} answers")
    for what, problems in found:
        yield Finding(what, "; ".join(problems), NO) if problems else Finding(what, "as it should be")


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look())
    except (CollectorError, LedgerError, KeyFileError, Unreachable) as error:
        return Finding(what, str(error), error.exit_code)


def _outbox(path: Path) -> str:
    waiting = OutboxFile(path).pending(-1, 1)
    return f"{path} " + ("holds batches" if waiting else "is empty")


def _ledger(where: Place) -> str:
    if isinstance(where, Server):
        if not where.key_file.exists():
            raise LedgerError(f"{where.key_file} does not exist: put the ledger's own key there")
        load_or_create_key(where.key_file)
    elif not (where / "ledger").exists():
        nearest = next(parent for parent in (where, *where.parents) if parent.exists())
        if not os.access(nearest, os.W_OK):
            raise LedgerError(f"{nearest} cannot be written: choose another directory with FLOPLEDGER_DATA_DIR")
        return f"none in {where} yet: the first start makes it"
    with connect(where, time.time_ns) as ledger:
        batches = ledger.query("SELECT count() FROM batches").rows[0][0]
    return f"{where} holds {batches} batches"
