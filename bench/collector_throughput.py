"""Readings per second of one collector on one core, from a real Kafka to durable rows; beside it sentry-arroyo.

Each batch is in a record batch of its own, as agents ship them. The first round of 2 048 batches warms up and is not
counted; with one partition it has the first batch of every agent in it, with its devices. Both halves are CPU time of
one process with all its threads, so that they hold on a busy machine.
"""

from __future__ import annotations

import tempfile
from typing import Any

from bench.kafka_rig import broker, fill, on_one_core
from bench.peers import environment
from bench.stream import READINGS

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
    return {
        "agents": AGENTS,
        "readings": filled.readings,
        "ours": _figures(ours, filled.flop),
        "arroyo": _figures(theirs, filled.flop),
        "times_arroyo": round(mine / (theirs["batches"] * READINGS / theirs["cpu_s"]), 2),
        "insert_only": {
            "us_per_batch": ours["insert_only_us_per_batch"],
            "times_ours": round(ours["cpu_s"] / ours["batches"] * 1e6 / ours["insert_only_us_per_batch"], 2),
        },
        "us_per_batch": ours["us_per_batch"],
        "target": {"readings_per_s": TARGET_READINGS_PER_S, "times_arroyo": TARGET_TIMES_ARROYO},
    }


def _figures(measured: dict[str, Any], flop: int) -> dict[str, Any]:
    readings = measured["batches"] * READINGS
    return {
        "readings_per_cpu_s": round(readings / measured["cpu_s"]),
        "readings_per_s": round(readings / measured["wall_s"]),
        "us_per_batch": round(measured["cpu_s"] / measured["batches"] * 1e6, 1),
        "exact": measured["flop"] == str(flop),
    }
