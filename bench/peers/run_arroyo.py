"""The collector's job by sentry-arroyo on confluent-kafka: from the topic into an embedded engine as JSONEachRow.

`python -m bench.peers.run_arroyo BOOTSTRAP TOPIC BATCHES DATA_DIR`. The same tables, the same rows in them, the same
number of batches per insert and the same settings for durability. Bodies are read by plain orjson, and counters summed
up as such a job would, which trusts what it reads. What it leaves out: signatures, the schema, whether counters go back
or leave their bounds, the curve across an hour's end, and every judgement.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from pathlib import Path

import chdb.session
import orjson
from arroyo.backends.kafka import KafkaConsumer
from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import BatchStep, CommitOffsets, ProcessingStrategyFactory, RunTask
from arroyo.types import Topic

from wire.batch import COUNTER_COLUMNS, KEY_COLUMNS

BATCH = 2_048
HOUR_NS = 3_600_000_000_000
SETTINGS = "SETTINGS async_insert = 0, input_format_null_as_default = 0, date_time_input_format = 'best_effort'"


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Trusted:
    """The meters of a batch and where each stands at its end, with nothing checked."""

    def __init__(self, body) -> None:
        self.body = body
        table = body["meters"]
        number = max(len(part) if isinstance(part, list) else 1 for part in table.values())
        parts = [table[name] if isinstance(table[name], list) else [table[name]] * number for name in KEY_COLUMNS]
        self.meters = list(zip(*parts, strict=True))
        count = body["count"]
        self.counts = count if isinstance(count, list) else [count] * number
        self.found: dict[str, list[int | None]] = {}

    def last(self, name):
        if name not in self.found:
            self.found[name] = self.at_end(self.body.get(name), self.counts)
        return self.found[name]

    def first_ns(self):
        ones = [1] * len(self.counts)
        sent = self.body["at_ns"]
        of = {name: self.at_end(self.body.get(name), ones) for name in sent.get("of", {}) if name != "rows"}
        return self.made(sent, ones, of)

    def at_end(self, sent, counts):
        if sent is None:
            return [None] * len(counts)
        if isinstance(sent, dict):
            return self.made(sent, counts, {name: self.last(name) for name in sent["of"] if name != "rows"})
        return self.added(sent, counts)

    def made(self, sent, counts, of):
        total = [0] * len(counts)
        for name, times in sent["of"].items():
            ends = counts if name == "rows" else of[name]
            total = [so_far + times * (end or 0) for so_far, end in zip(total, ends, strict=True)]
        per = sent.get("per", 1)
        added = self.added(sent.get("plus", 0), counts)
        return [so_far // per + plus for so_far, plus in zip(total, added, strict=True)]

    def added(self, plus, counts):
        if not isinstance(plus, list):
            return [int(plus) * count for count in counts]
        if len(plus) < sum(self.counts):
            plus = plus * len(self.counts)
        found, start = [], 0
        for held, count in zip(self.counts, counts, strict=True):
            part = plus[start : start + count]
            try:
                found.append(sum(part))
            except TypeError:
                # Digits in a text, or not measured.
                measured = [int(value) for value in part if value is not None]
                found.append(sum(measured) if measured else None)
            start += held
        return found


class Writer:
    """Decodes messages one by one, and inserts what many of them say."""

    def __init__(self, data_dir: str) -> None:
        self.session = chdb.session.Session(data_dir)
        for file in ("0001_evidence.sql", "0002_meters.sql"):
            text = (Path("ledger/migrations") / file).read_text(encoding="utf-8")
            lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
            for statement in "\n".join(lines).split(";\n"):
                if statement.startswith("CREATE TABLE") or "\nCREATE TABLE" in statement:
                    self.session.query(statement)
        self.recorded = 0
        self.began_s = self.began_cpu_s = 0.0
        self.first = 0

    def read(self, message):
        payload = message.payload
        body = orjson.loads(payload.value)
        return body, payload.value, Trusted(body["readings"])

    def write(self, message):
        evidence, meters, curve = [], [], []
        for item in message.payload:
            body, raw, readings = item.payload
            place = {name: body[name] for name in ("agent", "cluster", "node", "incarnation")}
            evidence.append(
                place
                | {"chain": body["chain"], "seq": body["seq"], "schema": body["schema"], "body": raw.decode()}
                | {"sealed_at": body["sealed_at"], "received_at": time.time(), "source_topic": "t"}
            )
            columns = {name: readings.last(name) for name in COUNTER_COLUMNS}
            for n, (key, first_ns, last_ns) in enumerate(
                zip(readings.meters, readings.first_ns(), readings.last("at_ns"), strict=True)
            ):
                named = hashlib.blake2b(body["incarnation"].encode() + "\0".join(key).encode(), digest_size=8).digest()
                values = {name: str(values[n]) if values[n] is not None else None for name, values in columns.items()}
                meter_id = int.from_bytes(named, "little")
                meters.append(
                    {**place, **dict(zip(KEY_COLUMNS, key, strict=True)), "meter_id": meter_id, **values}
                    | {"first_at_ns": first_ns, "last_at_ns": last_ns}
                )
                curve.append(
                    {"run": key[0], "basis": key[3], "meter_id": meter_id, "hour": last_ns // HOUR_NS * 3_600}
                    | {name: values[name] for name in ("flop", "flop_low", "flop_high", "tokens")}
                )
        for table, rows in (("batches", evidence), ("meters", meters), ("curve", curve)):
            lines = b"\n".join(map(orjson.dumps, rows)).decode()
            self.session.query(f"INSERT INTO {table} {SETTINGS} FORMAT JSONEachRow\n{lines}")
        self.recorded += len(evidence)
        if not self.began_s:
            self.began_s, self.began_cpu_s, self.first = time.monotonic(), cpu_s(), self.recorded
        return message.payload


class Factory(ProcessingStrategyFactory):
    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def create_with_partitions(self, commit, partitions):
        write = RunTask(self.writer.write, CommitOffsets(commit))
        return RunTask(self.writer.read, BatchStep(BATCH, 2.0, write))


def main(bootstrap: str, topic: str, expected: str, data_dir: str) -> None:
    writer = Writer(data_dir)
    configuration = build_kafka_consumer_configuration(
        {}, "bench-arroyo", auto_offset_reset="earliest", bootstrap_servers=[bootstrap], enable_auto_commit=False
    )
    processor = StreamProcessor(KafkaConsumer(configuration), Topic(topic), Factory(writer))
    while writer.recorded < int(expected):
        processor._run_once()
    took_s, took_cpu_s = time.monotonic() - writer.began_s, cpu_s() - writer.began_cpu_s
    flop = writer.session.query(
        "SELECT sum(f) FROM (SELECT max(toUInt256(flop)) AS f FROM meters GROUP BY run, meter_id)"
    )
    result = {
        "batches": writer.recorded - writer.first,
        "wall_s": took_s,
        "cpu_s": took_cpu_s,
        "flop": str(flop).strip(),
    }
    print(json.dumps(result), flush=True)
    processor._shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
