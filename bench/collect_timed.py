"""A collector that says when each batch was in the ledger: for `bench.latency`.

Prints a line when it is ready, and in the end one with the monotonic time of recording by hash, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from collector.service import collecting
from collector.sources.kafka import KafkaSource
from wire.kafka import KafkaConnection


def main(bootstrap: str, topic: str, batches: str, data_dir: str) -> None:
    source = KafkaSource(KafkaConnection(bootstrap, topic=topic), group="bench-latency")
    recorded_s: dict[str, float] = {}
    with collecting(source, Path(data_dir), lambda _: None, time.time_ns) as (collector, _):
        inner = collector.intake.record

        def record(evidence):  # type: ignore[no-untyped-def]
            judged = inner(evidence)
            at_s = time.monotonic()
            recorded_s.update((item.sealed.sha256.hex(), at_s) for item in judged)
            return judged

        collector.intake.record = record  # type: ignore[method-assign]
        collector.prepare()
        while not source.owned():
            collector.step(1)
        print("ready", flush=True)
        while len(recorded_s) < int(batches):
            collector.step(0.5)
    print(json.dumps(recorded_s), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
