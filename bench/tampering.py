"""Single mutations drawn at random over all kinds and tables of a small ledger: each must be found where it is.

`FLOPLEDGER_BENCH_MUTATIONS=10000` asks for all ten thousand, in processes on every core; the default fits in four
minutes on two. The seed is fixed, so the first mutations are the same ones.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from ledger.migrate import migrate
from ledger.store import Store
from tests.ledger.engine import Clock, opened
from tests.ledger.proof.cases import found
from tests.ledger.proof.tampering import Tamperer

MUTATIONS = int(os.environ.get("FLOPLEDGER_BENCH_MUTATIONS", "1200"))
SEED = 20_261_124
SHOWN = 5


def measure() -> dict[str, Any]:
    """Mutations by kind, and what was not found where it is."""
    cores = len(os.sched_getaffinity(0))
    shares = [MUTATIONS // cores + (number < MUTATIONS % cores) for number in range(cores)]
    began = time.monotonic()
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(_spoil, shares, range(cores)))
    kinds: Counter[str] = sum((part[0] for part in parts), Counter())
    missed = [case for part in parts for case in part[1]]
    return {
        "mutations": sum(kinds.values()),
        "kinds": dict(sorted(kinds.items())),
        "found_and_located": sum(kinds.values()) - len(missed),
        "missed": missed[:SHOWN],
        "findings_on_the_clean_ledger": sum(part[2] for part in parts),
        "seconds": round(time.monotonic() - began, 1),
        "targets": {"mutations": 10_000, "share_found_and_located": 1.0, "findings_on_the_clean_ledger": 0},
    }


def _spoil(mutations: int, number: int) -> tuple[Counter[str], list[str], int]:
    with tempfile.TemporaryDirectory() as directory:
        store = Store.embedded(Path(directory) / "ledger")
        migrate(store)
        # So little data is not worth the engine's threads.
        store.command("SET max_threads = 1")
        ledger = opened(store, Clock())
        tamperer = Tamperer(ledger, store, Random(SEED + number))
        clean = len(found(ledger))
        kinds: Counter[str] = Counter()
        missed = []
        for _ in range(mutations):
            mutation = tamperer.spoil()
            kinds[mutation.kind] += 1
            instead = tamperer.judge(mutation)
            if instead is not None:
                missed.append(f"{mutation.kind}: {mutation.what}: found {instead}")
        clean += len(found(ledger))
        store.close()
    return kinds, missed, clean
