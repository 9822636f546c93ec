"""Readings per second of one collector on one core, from a real Kafka to durable rows; beside it sentry-arroyo.

Each batch is in a record batch of its own, as agents ship them. The first round of 2 048 batches warms up and is not
counted; with one partition it has the first batch of every agent in it, with its devices. Both halves are CPU time of
one process with all its threads, so that they hold on a busy machine.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from typing import TYPE_CHECKING, Any

from bench.kafka_rig import broker, fill, on_one_core
from bench.peers import environment
from bench.stream import READINGS, Agent
from wire.ends import ends
from wire.opening import open_batch, open_batches
from wire.signature import verified
from wire.skim import skim

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.skim import Form, Skimmed

AGENTS = 1_024
BATCHES = 8_192
TARGET_READINGS_PER_S = 150_000
TARGET_TIMES_ARROYO = 1.5


def measure() -> dict[str, Any]:
    with broker() as bootstrap:
        filled = fill(bootstrap, "throughput", AGENTS, BATCHES, partitions=1)
        arguments = (bootstrap, filled.topic, filled.batches)
        with tempfile.TemporaryDirectory() as directory:
            ours = on_one_core("bench.collect", *arguments, directory)
        with tempfile.TemporaryDirectory() as directory:
            python = str(environment("arroyo"))
            theirs = on_one_core("bench.peers.run_arroyo", *arguments, directory, python=python)
    mine = ours["batches"] * READINGS / ours["cpu_s"]
    times = mine / (theirs["batches"] * READINGS / theirs["cpu_s"])
    return {
        "agents": AGENTS,
        "readings": filled.readings,
        "ours": _figures(ours, filled.flop),
        "arroyo": _figures(theirs, filled.flop),
        "times_arroyo": round(times, 2),
        "insert_only": {
            "us_per_batch": ours["insert_only_us_per_batch"],
            "times_ours": round(ours["cpu_s"] / ours["batches"] * 1e6 / ours["insert_only_us_per_batch"], 2),
        },
        "us_per_batch": ours["us_per_batch"],
        "opening_us_per_batch": _opening(),
        "target": {"readings_per_s": TARGET_READINGS_PER_S, "times_arroyo": TARGET_TIMES_ARROYO},
        "reached": {"readings_per_s": mine >= TARGET_READINGS_PER_S, "times_arroyo": times >= TARGET_TIMES_ARROYO},
    }


def _opening() -> dict[str, float]:
    """Where opening spends its time, by itself: what agents send from their second batch on."""
    agents = [Agent(number) for number in range(AGENTS // 4)]
    for agent in agents:
        agent.batch()
    sealed = [agent.batch() for agent in agents]
    alike: dict[Form, list[Skimmed]] = {}
    for one in sealed:
        if (found := skim(one.body, one.key_id)) is not None:
            alike.setdefault(found.form, []).append(found)
    parts: dict[str, Callable[[], object]] = {
        "hash": lambda: [hashlib.sha256(one.body).digest() for one in sealed],
        "signature": lambda: [verified(one.key_id, one.signature, one.body) for one in sealed],
        "JSON": lambda: [skim(one.body, one.key_id) for one in sealed],
        "counters": lambda: [ends(group) for group in alike.values()],
        "all": lambda: open_batches(sealed),
        "one by one": lambda: [open_batch(one) for one in sealed],
    }
    return {name: round(min(map(_cpu_s, [part] * 5)) / len(sealed) * 1e6, 1) for name, part in parts.items()}


def _cpu_s(part: Callable[[], object]) -> float:
    began_s = time.process_time()
    part()
    return time.process_time() - began_s


def _figures(measured: dict[str, Any], flop: int) -> dict[str, Any]:
    readings = measured["batches"] * READINGS
    return {
        "readings_per_cpu_s": round(readings / measured["cpu_s"]),
        "readings_per_s": round(readings / measured["wall_s"]),
        "us_per_batch": round(measured["cpu_s"] / measured["batches"] * 1e6, 1),
        "exact": measured["flop"] == str(flop),
    }
