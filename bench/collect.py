"""A collector as the throughput benches run it: from a topic into a ledger until so many batches are recorded.

`python -m bench.collect BOOTSTRAP TOPIC BATCHES DATA_DIR [WARM] [profile]` prints where the time went as JSON. The
clock starts after the round that brings the count to WARM batches, by default after the first one.
"""

from __future__ import annotations

import cProfile
import json
import resource
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.service import collecting
from collector.sources.kafka import KafkaSource
from ledger.store import Store
from wire.kafka import KafkaConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa


class Stopwatch:
    """CPU time of the whole process, the engine's threads included, by name; outer ones include inner ones."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        began_s = cpu_s()
        yield
        self.spent_s[name] += cpu_s() - began_s

    def watch(self, owner: Any, method: str, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.during(name):
                return inner(*args, **kwargs)

        setattr(owner, method, timed)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(bootstrap: str, topic: str, batches: str, data_dir: str, warm: str = "1", *how: str) -> None:
    expected = int(batches)
    stopwatch = Stopwatch()
    inserted: dict[str, list[pa.Table]] = defaultdict(list)
    keep = Store.insert

    def insert(store: Store, table: str, rows: pa.Table, **how: Any) -> None:
        with stopwatch.during(f"insert {table}"):
            keep(store, table, rows, **how)
        inserted[table].append(rows)

    Store.insert = insert  # type: ignore[method-assign,assignment]
    source = KafkaSource(KafkaConnection(bootstrap, topic=topic), group=f"bench-{topic}")
    with collecting(source, Path(data_dir), lambda _: None, time.time_ns) as (collector, ledger):
        stopwatch.watch(source, "poll", "poll")
        stopwatch.watch(source, "commit", "commit")
        stopwatch.watch(collector.intake, "open", "open")
        stopwatch.watch(collector.intake, "record", "judge and record")
        taken = 0
        began_s = began_cpu_s = 0.0
        profile = cProfile.Profile()
        collector.prepare()
        while taken < expected:
            if began_s == 0:
                # Joining the group is no work, and a key that is new costs more than one that is known.
                taken += collector.step(1)
                if taken >= int(warm):
                    began_s, began_cpu_s = time.monotonic(), cpu_s()
                    stopwatch.spent_s.clear()
                    inserted.clear()
                    first = taken
                    if "profile" in how:
                        profile.enable()
                continue
            taken += collector.step(1)
        profile.disable()
        took_s, took_cpu_s = time.monotonic() - began_s, cpu_s() - began_cpu_s
        counted = taken - first
        flop = ledger.query("SELECT sum(toUInt256(flop)) FROM meter_totals").rows[0][0]
        again_s = 0.0
        for table, many in inserted.items():
            began = cpu_s()
            for rows in many:
                keep(ledger._store, table, rows)
            again_s += cpu_s() - began
    if "profile" in how:
        profile.print_stats("tottime")
    print(
        json.dumps(
            {
                "batches": counted,
                "wall_s": took_s,
                "cpu_s": took_cpu_s,
                "flop": str(flop),
                "us_per_batch": {k: round(v / counted * 1e6, 1) for k, v in sorted(stopwatch.spent_s.items())},
                "insert_only_us_per_batch": round(again_s / counted * 1e6, 1),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
