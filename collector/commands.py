"""`flopledger collector …`."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cli.exits import DONE, NO
from cli.kafka_settings import kafka_connection, required_kafka_connection
from cli.output import Format, emit
from cli.settings import load
from cli.stopping import stop_on_signals
from collector import topics as kafka_topics
from collector.agent_commands import app as agents_app
from collector.check import findings
from collector.kafka_quarantine import KafkaQuarantine
from collector.replay import replay
from collector.service import admitting, announce, collecting, quarantine_in
from collector.sources.kafka import KafkaSource
from collector.sources.outbox import OutboxSource
from collector.sources.outbox_file import OutboxFile
from ledger.gateway.service import reading_beside
from ledger.place import server_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.settings import Settings
    from collector.quarantine import Quarantine, Quarantined, ReadableQuarantine
    from collector.replay import Verdict
    from collector.sources.interface import Source

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
quarantine_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Messages that cannot be opened.")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(agents_app, name="agents")

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
CHECK_COLUMNS = ("what", "ok", "detail")
TOPIC_COLUMNS = ("topic", "state", "problems")
QUARANTINE_COLUMNS = ("reason", "topic", "partition", "offset", "bytes", "replayed")
REPLAY_COLUMNS = ("outcome", "topic", "partition", "offset", "detail")
OUTBOX_FILE = "outbox.db"
WRITERS_PARTITION = 0
"""Whoever owns it writes the journal of a ledger on a server."""


@app.command()
def run(
    check: Annotated[bool, typer.Option("--check", help="only say whether all that is needed is there")] = False,
    form: Annotated[Format, typer.Option("--format", help="of --check: table, json or csv")] = Format.TABLE,
) -> None:
    """Record what agents ship through Kafka; without it, what the agent of the same data directory stores."""
    settings = load()
    outbox = settings.data_dir / OUTBOX_FILE
    if check:
        found = list(findings(settings, outbox))
        emit("checks", [{"what": f.what, "ok": f.ok, "detail": f.detail} for f in found], CHECK_COLUMNS, form)
        raise typer.Exit(next((finding.exit_code for finding in found if not finding.ok), DONE))
    connection = kafka_connection(settings)
    stop = stop_on_signals()
    source: Source
    quarantine: Quarantine | None = None
    with ExitStack() as stack:
        if connection is None:
            source = OutboxSource([OutboxFile(outbox)], stop.wait)
        else:
            source = KafkaSource(connection, settings.kafka_group, settings.kafka_instance)
            quarantine = stack.enter_context(closing(KafkaQuarantine(connection)))
        is_writer = partial(_is_writer, source)
        server = server_of(settings)
        work = collecting(source, settings.data_dir, announce, time.time_ns, quarantine, server, is_writer, settings)
        collector, _ = stack.enter_context(work)
        stack.enter_context(reading_beside(None if server else settings.data_dir, settings))
        collector.run(stop.wait, settings.assess_every_s)


@app.command()
def topics(
    create: Annotated[bool, typer.Option("--create", help="make those that do not exist")] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="of the topic of batches: so many collectors can share the work [12]")
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, help="replicas of each partition [one on each broker, three at most]")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Whether the topics in Kafka are such that no batch is ever lost; exit code 1 when they are not."""
    settings = load()
    name = settings.kafka_topic
    # How many partitions there should be is said here or nowhere: none to ask for is none to miss.
    wanted = kafka_topics.plans(name, partitions or 1, replication=replication)
    to_make = wanted if partitions else kafka_topics.plans(name, replication=replication)
    with kafka_topics.admin(required_kafka_connection(settings)) as client:
        made = kafka_topics.create(client, to_make) if create else []
        problems = {plan.name: kafka_topics.check(client, [plan]) for plan in wanted}
    found = [
        {"topic": topic, "state": _state(topic in made, bool(wrong)), "problems": wrong}
        for topic, wrong in problems.items()
    ]
    emit("topics", found, TOPIC_COLUMNS, form)
    if any(problems.values()):
        raise typer.Exit(NO)


@quarantine_app.callback()
def quarantine_main() -> None:
    """Messages that cannot be opened."""


@quarantine_app.command("list")
def list_quarantine(form: FormatOption = Format.TABLE) -> None:
    """Each message with the reason, where it came from, and how long its body was."""
    settings = load()
    with _quarantine(settings) as kept:
        found = [_row(entry) for entry in kept.entries()]
    emit("quarantine", found, QUARANTINE_COLUMNS, form)


@quarantine_app.command("replay")
def replay_quarantine(form: FormatOption = Format.TABLE) -> None:
    """Try each again, by this version and the keys approved now; what is recorded keeps its first coordinates."""
    settings = load()
    with _quarantine(settings) as kept, admitting(settings, time.time_ns) as admit:
        found = [_tried(entry, verdict) for entry, verdict in replay(kept, admit)]
    emit("quarantine", found, REPLAY_COLUMNS, form)


@contextmanager
def _quarantine(settings: Settings) -> Iterator[ReadableQuarantine]:
    connection = kafka_connection(settings)
    if connection is None:
        yield quarantine_in(settings.data_dir)
        return
    with closing(KafkaQuarantine(connection)) as kept:
        yield kept


def _is_writer(source: Source) -> bool:
    return not isinstance(source, KafkaSource) or WRITERS_PARTITION in source.owned()


def _state(made: bool, wrong: bool) -> str:
    return "wrong" if wrong else "made" if made else "ok"


def _row(entry: Quarantined) -> dict[str, object]:
    message = entry.message
    return {
        "reason": entry.reason,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "bytes": entry.size_bytes,
        "replayed": entry.replayed,
    }


def _tried(entry: Quarantined, verdict: Verdict) -> dict[str, object]:
    message = entry.message
    return {
        "outcome": verdict.outcome,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "detail": verdict.detail,
    }
