"""What the page costs: the overview with a thousand runs over two million meters, and fifty viewers on a live ledger.

The ledger is that of `ledger_queries`, with declarations. First contentful paint is Chromium's own figure; the API is
asked over HTTP. Viewers hold the live stream and fetch the page anew at each version, as a browser does.
BENCH_VIEW_S sets how long they watch: 60 s, 600 for the ten minutes of the target.
"""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from bench import ledger_queries
from cli.settings import Settings
from ledger.declare import Wanted, declare
from ledger.ledger import Ledger
from ledger.rollups import Rollups
from ledger.store import Store
from ledger.web import assets
from ledger.web.pool import beside
from ledger.web.service import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAINTED = """new Promise(done => new PerformanceObserver(seen => seen.getEntriesByName("first-contentful-paint")
    .forEach(entry => done(entry.startTime))).observe({type: "paint", buffered: true}))"""
RUNS = 1_000
VIEWERS = 50
VIEW_S = float(os.environ.get("BENCH_VIEW_S", "60"))
ASKED = int(os.environ.get("BENCH_TIMES", "200"))
PATHS = ("/api/v1/overview", "/api/v1/subjects?limit=100", "/api/v1/fleet", "/api/v1/runs/big")
ASSETS = ("style.css", "uplot.css", "theme.js", "page.js", "charts.js", "uplot.js", "icon.svg", "inter.woff2")
TARGETS = {"first_contentful_paint_ms": 1_000, "api_p99_ms": 200, "page_kb": 400, "cores": 1.0, "grown_mb": 30}


def measure() -> dict[str, Any]:
    """All of it, over one ledger."""
    directory = Path(tempfile.mkdtemp(prefix="page-"))
    try:
        with ExitStack() as stack:
            ledger = stack.enter_context(closing(Ledger.open(directory, time.time_ns)))
            store = stack.enter_context(closing(Store.embedded(directory / "ledger")))
            _fill(ledger, store)
            access = stack.enter_context(beside(ledger, directory))
            server = Server(access, Settings(data_dir=directory, web_port=0), time.time_ns)
            server.start()
            stack.callback(server.stop)
            return _measure(server, ledger, store)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _fill(ledger: Ledger, store: Store) -> None:
    ledger_queries.OTHER_RUNS = RUNS - 1
    runs: dict[str, dict[str, Any]] = {f"run-{n}": {"model_id": f"model-{n // 3}"} for n in range(RUNS - 1)}
    big = {"model_id": "big", "purpose": "pre-training", "devices": ledger_queries.DEVICES, "planned_flop": 10**27}
    declare(ledger, Wanted(runs={"big": big, **runs}), "bench")
    for life in range(ledger_queries.LIVES):
        ledger_queries._fill(store, life, 10)
    store.command(ledger_queries._with(ledger_queries._OTHERS))
    store.command(ledger_queries._with(ledger_queries._DEVICES, count=ledger_queries.DEVICES))
    ledger_queries._merge(store)
    store.command(ledger_queries._with(ledger_queries._CURVE))
    Rollups(store).refresh()
    _say("filled")


def _measure(server: Server, ledger: Ledger, store: Store) -> dict[str, Any]:
    began, used = time.monotonic(), time.process_time()
    _ = server.page.watch.view
    first_look = {"wall_s": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - used, 1)}
    _say(f"first look {first_look}")
    found: dict[str, Any] = {"runs": RUNS, "devices": ledger_queries.DEVICES, "first_look": first_look}
    found["api"] = {path: _asked(server.url + path) for path in PATHS}
    found["first_contentful_paint_ms"] = _paint(server.url)
    found["page_kb"] = _weight(server.url)
    found["viewers"] = _viewed(server, ledger, store)
    worst = max(row["wall_p99_ms"] for row in found["api"].values())
    found["met"] = {
        "first contentful paint": found["first_contentful_paint_ms"] <= TARGETS["first_contentful_paint_ms"],
        "api p99": worst <= TARGETS["api_p99_ms"],
        "page weight": found["page_kb"] <= TARGETS["page_kb"],
        "viewers' cores": found["viewers"]["cores"] <= TARGETS["cores"],
        "viewers' memory": found["viewers"]["grown_mb"] <= TARGETS["grown_mb"],
    }
    return found


def _asked(url: str) -> dict[str, float]:
    with httpx.Client(timeout=120) as client:
        client.get(url).raise_for_status()
        wall = []
        used = time.process_time()
        for _ in range(ASKED):
            began = time.perf_counter()
            client.get(url).raise_for_status()
            wall.append((time.perf_counter() - began) * 1e3)
        cpu_ms = (time.process_time() - used) * 1e3 / ASKED
    found = {
        "wall_p50_ms": ledger_queries._quantile(wall, 0.5),
        "wall_p99_ms": ledger_queries._quantile(wall, 0.99),
        "cpu_mean_ms": round(cpu_ms, 1),
    }
    _say(f"{url}: {found}")
    return found


def _paint(url: str) -> float:
    """The median of five first visits, ms."""
    from playwright.sync_api import sync_playwright

    painted = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(5):
            page = browser.new_context().new_page()
            page.goto(url)
            painted.append(float(page.evaluate(_PAINTED)))
        browser.close()
    return round(sorted(painted)[2], 1)


def _weight(url: str) -> float:
    """The heaviest page with all its assets, as they travel, kB."""
    with httpx.Client(timeout=120) as client:
        pages = max(len(gzip.compress(client.get(url + path).content, 5)) for path in ("/", "/runs/big"))
        files = sum(int(client.get(url + assets.address(name)).headers["content-length"]) for name in ASSETS)
    return round((pages + files) / 1_000, 1)


def _viewed(server: Server, ledger: Ledger, store: Store) -> dict[str, Any]:
    """Fifty viewers, while something new is put on record every five seconds. Their own cost is not the server's: they
    are processes of their own.
    """
    with _viewers(server.url) as fetched:
        time.sleep(5)
        used, began, before_mb = time.process_time(), time.monotonic(), _resident_mb()
        number = 0
        while time.monotonic() - began < VIEW_S:
            declare(ledger, Wanted(runs={"run-0": {"planned_flop": 10**20 + number}}), "bench")
            number += 1
            time.sleep(5)
        cores = (time.process_time() - used) / (time.monotonic() - began)
        found = {
            "viewers": VIEWERS,
            "watched_s": round(time.monotonic() - began),
            "cores": round(cores, 2),
            "grown_mb": round(_resident_mb() - before_mb, 1),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        }
    found["pages_fetched"] = fetched()
    _say(str(found))
    return found


@contextmanager
def _viewers(url: str) -> Iterator[Any]:
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    count = context.Value("l", 0)
    stop = context.Event()
    process = context.Process(target=_view, args=(url, count, stop), daemon=True)
    process.start()
    yield lambda: count.value
    stop.set()
    process.join(timeout=20)


def _view(url: str, count: Any, stop: Any) -> None:
    threads = [threading.Thread(target=_follow, args=(url, count, stop), daemon=True) for _ in range(VIEWERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _follow(url: str, count: Any, stop: Any) -> None:
    with httpx.Client(timeout=120) as client, client.stream("GET", url + "/live") as stream:
        for line in stream.iter_lines():
            if stop.is_set():
                return
            if line.startswith("data:"):
                client.get(url).raise_for_status()
                with count.get_lock():
                    count.value += 1


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
